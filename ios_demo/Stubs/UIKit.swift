import Foundation

@MainActor open class UIDevice: NSObject {
    public enum BatteryState: Int, Sendable {
        case unknown, unplugged, charging, full
    }

    open class var current: UIDevice { fatalError() }
    open var isBatteryMonitoringEnabled: Bool {
        get { fatalError() }
        set {}
    }
    open var batteryLevel: Float { fatalError() }
    open var batteryState: BatteryState { fatalError() }
}

@MainActor open class UIApplication: NSObject {
    public nonisolated class var didEnterBackgroundNotification: Notification.Name { fatalError() }
}
