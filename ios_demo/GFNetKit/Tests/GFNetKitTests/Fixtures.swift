import Foundation

@testable import GFNetKit

/// What `make_fixtures.py` wrote.
enum Fixtures {
    static func url(_ name: String) throws -> URL {
        guard let folder = Bundle.module.resourceURL else { throw CocoaError(.fileNoSuchFile) }
        return folder.appendingPathComponent("Fixtures").appendingPathComponent(name)
    }

    static func bytes(_ name: String) throws -> [UInt8] { try Array(Data(contentsOf: url(name))) }

    static func decode<Value: Decodable>(_ type: Value.Type, _ name: String) throws -> Value {
        try Value(from: StrictDecoder(JSONParser.parse(bytes(name)), allowsUnknown: true))
    }

    static func manifest() throws -> Manifest { try ModelBundle.readManifest(url("manifest.json")) }

    static func runner() throws -> ReplayStepRunner {
        try ReplayStepRunner(traces: RecordedTrace.read(url("traces.json")), manifest: manifest())
    }

    /// The manifest with one piece of its text replaced.
    static func manifest(replacing old: String, with new: String) throws -> [UInt8] {
        let text = String(decoding: try bytes("manifest.json"), as: UTF8.self)
        guard let place = text.range(of: old) else { throw CocoaError(.formatting) }
        return Array(text.replacingCharacters(in: place, with: new).utf8)
    }

    /// The picture of `make_fixtures.py`: it changes wildly.
    static func picture(side: Int) -> PixelSquare {
        var bytes: [UInt8] = []
        for row in 0..<side {
            for column in 0..<side { for channel in 0..<3 { bytes.append(pixel(row, column, channel)) } }
        }
        return PixelSquare(side: side, bytes: bytes)
    }

    static func pixel(_ row: Int, _ column: Int, _ channel: Int) -> UInt8 {
        UInt8((7 * row * row + 13 * column * column + 3 * row * column + 31 * row + 97 * channel) % 256)
    }
}
