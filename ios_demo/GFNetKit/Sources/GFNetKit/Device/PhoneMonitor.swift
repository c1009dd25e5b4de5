#if canImport(UIKit)
    import Foundation
    import UIKit

    /// The phone or tablet that the app runs on. Make it before the benchmark begins: it counts interruptions from then.
    @MainActor
    public final class PhoneMonitor: DeviceMonitor {
        private var interruptions = 0
        private var observation: (any NSObjectProtocol)?

        public init() {
            UIDevice.current.isBatteryMonitoringEnabled = true
            observation = NotificationCenter.default.addObserver(
                forName: UIApplication.didEnterBackgroundNotification, object: nil, queue: .main
            ) { [weak self] _ in
                // The main queue is where it was asked to be called.
                MainActor.assumeIsolated { self?.interruptions += 1 }
            }
        }

        public func machine() async -> Machine {
            HostMonitor.describe()
        }

        public func state() async -> DeviceState {
            let device = UIDevice.current
            let host = await HostMonitor().state()
            return DeviceState(
                thermalState: host.thermalState,
                lowPowerMode: host.lowPowerMode,
                // Below zero where it is unknown, as in a simulator.
                batteryLevel: device.batteryLevel < 0 ? nil : Double(device.batteryLevel),
                pluggedIn: device.batteryState == .unknown ? nil : device.batteryState != .unplugged,
                interruptions: interruptions)
        }
    }
#endif
