/// What Core ML may use, by its own names.
public enum ComputeUnits: String, CaseIterable, Codable, Sendable, Identifiable {
    case all, cpuOnly, cpuAndGPU, cpuAndNeuralEngine

    public var id: String { rawValue }

    /// For people.
    public var title: String {
        switch self {
        case .all: "All units"
        case .cpuOnly: "CPU only"
        case .cpuAndGPU: "CPU and GPU"
        case .cpuAndNeuralEngine: "CPU and Neural Engine"
        }
    }
}
