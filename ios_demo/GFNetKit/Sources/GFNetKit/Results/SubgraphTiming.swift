/// The calls of one subgraph, without what is done around them.
public struct SubgraphTiming: Codable, Sendable, Equatable {
    public var name: String
    public var role: String
    /// The steps (1 … T) that run it.
    public var steps: [Int]
    /// Until it could be called, in a new process.
    public var loadMs: Double?
    /// Its first call there.
    public var firstRunMs: Double?
    /// By which that process grew while it was loaded and first called.
    public var memoryBytes: Int?
    /// Once it is warm.
    public var steady: Timing
    /// Of its median to the reference's whole latency.
    public var ratio: Ratio?

    enum CodingKeys: String, CodingKey {
        case name, role, steps, steady, ratio
        case loadMs = "load_ms"
        case firstRunMs = "first_run_ms"
        case memoryBytes = "memory_bytes"
    }

    public init(
        name: String, role: String, steps: [Int], loadMs: Double? = nil, firstRunMs: Double? = nil, steady: Timing
    ) {
        self.name = name
        self.role = role
        self.steps = steps
        self.loadMs = loadMs
        self.firstRunMs = firstRunMs
        self.steady = steady
    }
}
