/// A measured run: what `gfnet bench ingest` reads. The field's meanings are those of `gfnet/results/schema.py`.
public struct BenchmarkResult: Codable, Sendable, Equatable {
    /// The only one that is read and written.
    public static let schemaVersion = 2

    public var schemaVersion: Int
    /// What measured it, and its version.
    public var tool: String
    /// When, UTC, `2026-01-31T12:00:00Z`.
    public var created: String
    public var machine: Machine
    public var conditions: Conditions
    /// The command line that repeats the measurement.
    public var command: String?
    /// Number of images, each of which was run in each round.
    public var images: Int
    /// Images that could not be read.
    @OrEmpty public var unreadable: [String]
    public var rounds: Int
    /// New ones, one after another, that shared the rounds; `nil` says 1.
    public var processes: Int?
    /// Rounds before that were not counted, until it was steady.
    public var warmupRounds: Int
    /// What measuring adds to one call, microseconds.
    public var harnessUs: Double?
    public var subjects: [Subject]
    /// Reasons not to trust it, from the program that measured it.
    @OrEmpty public var unreliable: [String]

    enum CodingKeys: String, CodingKey {
        case tool, created, machine, conditions, command, images, unreadable, rounds, processes, subjects, unreliable
        case schemaVersion = "schema_version"
        case warmupRounds = "warmup_rounds"
        case harnessUs = "harness_us"
    }

    public init(
        tool: String, created: String, machine: Machine, conditions: Conditions, images: Int,
        unreadable: [String] = [], rounds: Int, warmupRounds: Int, harnessUs: Double?, subjects: [Subject],
        unreliable: [String]
    ) {
        schemaVersion = Self.schemaVersion
        self.tool = tool
        self.created = created
        self.machine = machine
        self.conditions = conditions
        self.images = images
        self.unreadable = unreadable
        self.rounds = rounds
        self.warmupRounds = warmupRounds
        self.harnessUs = harnessUs
        self.subjects = subjects
        self.unreliable = unreliable
    }
}
