/// What a run was measured on.
public struct Machine: Codable, Sendable, Equatable {
    /// The product, as its maker calls it inside: `iPhone15,2`.
    public var device: String
    public var os: String
    public var processor: String?
    public var cores: Int?
    public var memoryBytes: Int?
    /// How the system chooses the processor's frequency.
    public var governor: String?

    enum CodingKeys: String, CodingKey {
        case device, os, processor, cores, governor
        case memoryBytes = "memory_bytes"
    }

    public init(
        device: String, os: String, processor: String? = nil, cores: Int? = nil, memoryBytes: Int? = nil,
        governor: String? = nil
    ) {
        self.device = device
        self.os = os
        self.processor = processor
        self.cores = cores
        self.memoryBytes = memoryBytes
        self.governor = governor
    }
}
