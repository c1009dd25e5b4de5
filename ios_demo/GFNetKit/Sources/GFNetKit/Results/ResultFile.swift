import Foundation

/// Result files on disk.
public enum ResultFile {
    private static let largest = 64 * 1024 * 1024

    /// Reads a result and checks that it does not contradict itself.
    ///
    /// - Throws: `ResultError`: the file is missing, not a result, of another schema version, or contradicts itself.
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
        let result: BenchmarkResult
        do {
            let value = try JSONParser.parse(Array(content))
            // Before all else, as another version may look different in any way.
            switch value.member("schema_version") {
            case nil, .null: throw ResultError("\(path): not a benchmark result; a benchmark writes one")
            case .integer(let version) where version != BenchmarkResult.schemaVersion:
                throw ResultError(
                    "\(path): a benchmark result of schema version \(version), but this release reads "
                        + "\(BenchmarkResult.schemaVersion); measure it again, or read it with the release that wrote it"
                )
            default: result = try BenchmarkResult(from: StrictDecoder(value))
            }
        } catch let error as JSONError {
            throw ResultError("\(path): not JSON (\("\(error)".oneLine)); give the file of a benchmark result")
        } catch let error as DecodingError {
            throw ResultError(
                "\(path): not a sound benchmark result (\(error.placeAndReason("result").oneLine)); measure it again")
        }
        if let problem = result.contradiction {
            throw ResultError("\(path): not a sound benchmark result (\(problem)); measure it again")
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
            throw ResultError("\(url.path): not written, as the result is not sound (\(problem)); measure it again")
        }
        do {
            try encode(result).write(to: url, options: .atomic)
        } catch {
            throw ResultError("\(url.path): cannot be written; give a file in a folder that exists and has room")
        }
    }
}

/// A result file that cannot be used, and what to do about it; one line.
public struct ResultError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    public let description: String
    public var errorDescription: String? { description }

    public init(_ description: String) {
        self.description = description
    }
}

/// A list or table, which a result file may leave out where it is empty.
public protocol Emptiable {
    static var empty: Self { get }
}

extension Array: Emptiable {
    public static var empty: [Element] { [] }
}

extension Dictionary: Emptiable {
    public static var empty: [Key: Value] { [:] }
}

/// A field that a file may leave out, for which it then is empty; `null` is refused, as by Python's reader.
@propertyWrapper
public struct OrEmpty<Value: Codable & Sendable & Equatable & Emptiable>: Codable, Sendable, Equatable {
    public var wrappedValue: Value

    public init(wrappedValue: Value) {
        self.wrappedValue = wrappedValue
    }

    public init(from decoder: any Decoder) throws {
        wrappedValue = try decoder.singleValueContainer().decode(Value.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(wrappedValue)
    }
}

/// A field that a file must have, if only as `null`.
@propertyWrapper
public struct OrNull<Value: Codable & Sendable & Equatable>: Codable, Sendable, Equatable {
    public var wrappedValue: Value?

    public init(wrappedValue: Value?) {
        self.wrappedValue = wrappedValue
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        wrappedValue = container.decodeNil() ? nil : try container.decode(Value.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let wrappedValue {
            try container.encode(wrappedValue)
        } else {
            try container.encodeNil()
        }
    }
}

extension KeyedDecodingContainer {
    /// What the compiler's own `init(from:)` calls for such a field; the standard one would insist on the key.
    func decode<Value>(_ type: OrEmpty<Value>.Type, forKey key: Key) throws -> OrEmpty<Value> {
        contains(key) ? OrEmpty(wrappedValue: try decode(Value.self, forKey: key)) : OrEmpty(wrappedValue: .empty)
    }
}
