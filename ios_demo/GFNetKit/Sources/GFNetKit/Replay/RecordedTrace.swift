import Foundation

/// What `gfnet predict BUNDLE PHOTOS --all-steps --logits --json FILE` recorded of one image.
public struct RecordedTrace: Sendable, Equatable {
    public struct Step: Sendable, Equatable {
        /// 1 ... T.
        public let step: Int
        /// `nil` for the glance.
        public let action: Action?
        /// `nil` for the glance.
        public let origin: Origin?
        public let classIndex: Int
        public let confidence: Float
        /// One for each class.
        public let logits: [Float]
    }

    public let image: String
    public let steps: [Step]

    /// Reads a recording.
    ///
    /// - Throws: ``ReplayError`` that names the file.
    public static func read(_ file: URL) throws -> [RecordedTrace] {
        let bytes: [UInt8]
        do {
            bytes = try Array(Data(contentsOf: file))
        } catch {
            throw ReplayError(description: "\(file.path): cannot be read; give a file of `gfnet predict --json`")
        }
        do {
            return try [RecordedTrace](from: StrictDecoder(JSONParser.parse(bytes), allowsUnknown: true))
        } catch {
            throw ReplayError(
                description: "\(file.path): no recorded traces (\("\(error)".oneLine)); record them with "
                    + "`gfnet predict BUNDLE PHOTOS --all-steps --logits --json FILE`")
        }
    }
}

extension RecordedTrace: Decodable {}

extension RecordedTrace.Step: Decodable {
    private enum CodingKeys: String, CodingKey {
        case step, action, origin, confidence, logits
        case classIndex = "class_index"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        step = try values.decode(Int.self, forKey: .step)
        classIndex = try values.decode(Int.self, forKey: .classIndex)
        confidence = try values.decode(Float.self, forKey: .confidence)
        logits = try values.decode([Float].self, forKey: .logits)
        let action = try values.decodeIfPresent([Float].self, forKey: .action)
        let origin = try values.decodeIfPresent([Int].self, forKey: .origin)
        guard (action ?? [0, 0]).count == 2, (origin ?? [0, 0]).count == 2 else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "action and origin must be (row, column)"))
        }
        self.action = action.map { Action(row: $0[0], column: $0[1]) }
        self.origin = origin.map { Origin(row: $0[0], column: $0[1]) }
    }
}

/// A recording cannot be played.
public struct ReplayError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    /// What is wrong and what to do, one line.
    public let description: String
    public var errorDescription: String? { description }
}
