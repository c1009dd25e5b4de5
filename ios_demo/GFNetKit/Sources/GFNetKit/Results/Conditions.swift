/// What the machine did besides, as far as it can be told; `nil` and empty where the system has no such notion.
public struct Conditions: Codable, Sendable, Equatable {
    /// Seconds that the measuring took.
    public var seconds: Double
    /// The system's load average of one minute.
    public var loadBefore: Double?
    public var loadAfter: Double?
    /// Cores that other processes kept busy, on average.
    public var othersCores: Double?
    /// The cores that it was allowed to use.
    public var affinity: [Int]?
    /// The system's thermal state at the start of each round, as the system calls it.
    @OrEmpty public var thermalStates: [String]
    /// Whether it was on at any time.
    public var lowPowerMode: Bool?
    /// At the end, 0 … 1.
    public var batteryLevel: Double?
    public var pluggedIn: Bool?
    /// Whether the program was put into the background; `nil` says no.
    public var interrupted: Bool?

    enum CodingKeys: String, CodingKey {
        case seconds, affinity, interrupted
        case loadBefore = "load_before"
        case loadAfter = "load_after"
        case othersCores = "others_cores"
        case thermalStates = "thermal_states"
        case lowPowerMode = "low_power_mode"
        case batteryLevel = "battery_level"
        case pluggedIn = "plugged_in"
    }

    public init(
        seconds: Double, thermalStates: [String] = [], lowPowerMode: Bool? = nil, batteryLevel: Double? = nil,
        pluggedIn: Bool? = nil, interrupted: Bool = false
    ) {
        self.seconds = seconds
        self.thermalStates = thermalStates
        self.lowPowerMode = lowPowerMode
        self.batteryLevel = batteryLevel
        self.pluggedIn = pluggedIn
        self.interrupted = interrupted
    }
}
