/// What a benchmark asks the device; handed in so that it can be tested.
public protocol DeviceMonitor: Sendable {
    /// What it is.
    func machine() async -> Machine

    /// How it is just now.
    func state() async -> DeviceState
}

/// How a device is at one moment; `nil` where the system does not say.
public struct DeviceState: Sendable, Equatable {
    /// `nominal`, `fair`, `serious` or `critical`.
    public var thermalState: String?
    public var lowPowerMode: Bool?
    /// 0 … 1.
    public var batteryLevel: Double?
    public var pluggedIn: Bool?
    /// How often the program was put into the background so far.
    public var interruptions: Int

    public init(
        thermalState: String? = nil, lowPowerMode: Bool? = nil, batteryLevel: Double? = nil, pluggedIn: Bool? = nil,
        interruptions: Int = 0
    ) {
        self.thermalState = thermalState
        self.lowPowerMode = lowPowerMode
        self.batteryLevel = batteryLevel
        self.pluggedIn = pluggedIn
        self.interruptions = interruptions
    }
}
