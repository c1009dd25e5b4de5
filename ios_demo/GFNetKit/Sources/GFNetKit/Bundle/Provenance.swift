/// How the ranges of 8-bit activations were found.
public struct Calibration: Codable, Sendable, Equatable {
    /// What of the values seen there must fit into the range.
    public enum Method: String, Codable, Sendable {
        case entropy, percentile, minmax
    }

    /// Number of photos that were looked at.
    public let images: Int
    public let method: Method

    enum CodingKeys: String, CodingKey, CaseIterable {
        case images, method
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.closedContainer(CodingKeys.self)
        images = try values.integer(.images, in: 1...Limits.count)
        method = try values.decode(Method.self, forKey: .method)
    }
}

/// What made the bundle.
public struct Exporter: Codable, Sendable, Equatable {
    public let gfnet: String
    /// Version of each library that took part.
    public let libraries: [String: String]

    enum CodingKeys: String, CodingKey, CaseIterable {
        case gfnet, libraries
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.closedContainer(CodingKeys.self)
        gfnet = try values.text(.gfnet)
        libraries = try values.table(.libraries, 0...Limits.libraries, name: \.isText, value: \.isText)
    }
}
