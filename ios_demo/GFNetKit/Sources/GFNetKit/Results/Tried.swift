/// Settings of a runtime, and what an image took under them.
public struct Tried: Codable, Sendable, Equatable {
    public var settings: [String: String]
    public var typicalMs: Double

    enum CodingKeys: String, CodingKey {
        case settings
        case typicalMs = "typical_ms"
    }
}
