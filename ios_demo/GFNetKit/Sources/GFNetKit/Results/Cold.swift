/// The first image of a new process, medians of several.
public struct Cold: Codable, Sendable, Equatable {
    public var repeats: Int
    /// Until the program's first line.
    public var processMs: Double?
    /// Until the runtime's library was there.
    public var importMs: Double?
    /// Until every subgraph could be called.
    public var loadMs: Double
    /// The first image, once it was preprocessed.
    public var firstImageMs: Double
    /// The most memory that the process held.
    public var peakBytes: Int?

    enum CodingKeys: String, CodingKey {
        case repeats
        case processMs = "process_ms"
        case importMs = "import_ms"
        case loadMs = "load_ms"
        case firstImageMs = "first_image_ms"
        case peakBytes = "peak_bytes"
    }

    public init(repeats: Int = 1, loadMs: Double, firstImageMs: Double) {
        self.repeats = repeats
        self.loadMs = loadMs
        self.firstImageMs = firstImageMs
    }
}
