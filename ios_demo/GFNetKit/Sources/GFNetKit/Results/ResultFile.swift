import Foundation

/// Result files on disk.
public enum ResultFile {
    private static let largest = 64 * 1024 * 1024

    /// Reads a result and checks that it does not contradict itself.
    ///
    /// - Throws: `ResultError`: the file is missing, no result, of another schema version, or unsound.
    public static func read(_ url: URL) throws -> BenchmarkResult {
        let path = url.path
        let content: Data
        do {
            content = try Data(contentsOf: url)
        } catch {
            throw ResultError("\(path): cannot be read; give the JSON file of a result, as a benchmark writes it")
        }
        guard content.count <= largest else { throw ResultError("\(path): too large for a benchmark result") }
        return try decode(content, path: path)
    }

    /// Likewise, from a file's content.
    ///
    /// - Parameter path: for messages.
    public static func decode(_ content: Data, path: String) throws -> BenchmarkResult {
        // Before all else, as another version may look different in any way.
        guard let version = try? JSONDecoder().decode(Version.self, from: content) else {
            throw ResultError("\(path): no benchmark result; a benchmark writes one")
        }
        guard version.schemaVersion == BenchmarkResult.schemaVersion else {
            throw ResultError(
                "\(path): a benchmark result of schema version \(version.schemaVersion), but this release reads "
                    + "\(BenchmarkResult.schemaVersion); measure it again, or read it with the release that wrote it")
        }
        let result: BenchmarkResult
        do {
            result = try JSONDecoder().decode(BenchmarkResult.self, from: content)
        } catch let error as DecodingError {
            throw ResultError("\(path): no sound benchmark result (\(error.place)); measure it again")
        }
        if let unknown = try firstUnknown(in: content, knownFrom: encode(result)) {
            throw ResultError("\(path): no sound benchmark result (\(unknown): unknown field); measure it again")
        }
        if let problem = result.contradiction {
            throw ResultError("\(path): no sound benchmark result (\(problem)); measure it again")
        }
        return result
    }

    /// A result as a file has it: indented, keys in order.
    ///
    /// - Throws: `EncodingError`: a number is not finite.
    public static func encode(_ result: BenchmarkResult) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(result) + Data("\n".utf8)
    }

    /// Writes a result, whole or not at all.
    ///
    /// - Throws: `ResultError`: the result contradicts itself, or the file cannot be written.
    public static func write(_ result: BenchmarkResult, to url: URL) throws {
        if let problem = result.contradiction {
            throw ResultError("\(url.path): not written, as the result is unsound (\(problem)); measure it again")
        }
        do {
            try encode(result).write(to: url, options: .atomic)
        } catch {
            throw ResultError("\(url.path): cannot be written; give a file in a folder that exists and has room")
        }
    }

    private struct Version: Decodable {
        let schemaVersion: Int

        enum CodingKeys: String, CodingKey {
            case schemaVersion = "schema_version"
        }
    }

    /// The first field of a file that the decoded result has lost; the decoder itself passes over such fields.
    private static func firstUnknown(in content: Data, knownFrom encoded: Data) throws -> String? {
        unknown(
            try JSONSerialization.jsonObject(with: content), try JSONSerialization.jsonObject(with: encoded), at: "")
    }

    private static func unknown(_ found: Any, _ known: Any, at place: String) -> String? {
        if let found = found as? [String: Any], let known = known as? [String: Any] {
            for (key, value) in found.sorted(by: { $0.key < $1.key }) {
                let here = place.isEmpty ? key : "\(place).\(key)"
                guard let counterpart = known[key] else {
                    if value is NSNull, optionalFields.contains(key) { continue }
                    return here
                }
                if let deeper = unknown(value, counterpart, at: here) { return deeper }
            }
        } else if let found = found as? [Any], let known = known as? [Any], found.count == known.count {
            for (index, (value, counterpart)) in zip(found, known).enumerated() {
                if let deeper = unknown(value, counterpart, at: "\(place).\(index)") { return deeper }
            }
        }
        return nil
    }

    /// Fields that a file may give as `null`, which are left out when they are written again.
    private static let optionalFields: Set<String> = [
        "affinity", "battery_level", "bytes", "cold", "command", "cores", "first_run_ms", "governor", "harness_us",
        "images_per_second", "import_ms", "load_after", "load_before", "load_ms", "low_power_mode", "measured_ms",
        "measured_top1", "memory_bytes", "others_cores", "peak_bytes", "plugged_in", "process_ms", "processor",
        "ratio", "reference", "revision", "sha256", "threads", "top1",
    ]
}

extension DecodingError {
    /// Where it went wrong, and how.
    fileprivate var place: String {
        let (context, what): (Context, String) =
            switch self {
            case .keyNotFound(let key, let context): (context, "no \(key.stringValue)")
            case .typeMismatch(let type, let context): (context, "no \(type)")
            case .valueNotFound(let type, let context): (context, "no \(type)")
            case .dataCorrupted(let context): (context, "no sound value")
            @unknown default: (Context(codingPath: [], debugDescription: ""), "no sound value")
            }
        let path = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
        return "\(path.isEmpty ? "result" : path): \(what)"
    }
}
