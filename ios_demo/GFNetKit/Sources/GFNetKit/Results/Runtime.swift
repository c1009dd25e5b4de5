/// What ran the subgraphs.
public struct Runtime: Codable, Sendable, Equatable {
    public var name: String
    public var version: String
    /// Where they were allowed to run, as the runtime calls it.
    public var computeUnits: String
    /// Inside an operator; `nil` where the runtime decides.
    public var threads: Int?
    /// Others that matter, by their own names.
    @OrEmpty public var settings: [String: String]

    enum CodingKeys: String, CodingKey {
        case name, version, threads, settings
        case computeUnits = "compute_units"
    }

    public init(
        name: String, version: String, computeUnits: String, threads: Int? = nil, settings: [String: String] = [:]
    ) {
        self.name = name
        self.version = version
        self.computeUnits = computeUnits
        self.threads = threads
        self.settings = settings
    }
}
