import Foundation

/// A computer: what Foundation knows of it on any system.
public struct HostMonitor: DeviceMonitor {
    public init() {}

    public func machine() async -> Machine {
        Self.describe()
    }

    public func state() async -> DeviceState {
        #if canImport(Darwin)
            let info = ProcessInfo.processInfo
            return DeviceState(thermalState: info.thermalState.word, lowPowerMode: info.isLowPowerModeEnabled)
        #else
            return DeviceState()
        #endif
    }

    static func describe() -> Machine {
        let info = ProcessInfo.processInfo
        return Machine(
            device: hardware, os: system, processor: processor,
            cores: info.processorCount, memoryBytes: Int(clamping: info.physicalMemory))
    }

    private static var system: String {
        let version = ProcessInfo.processInfo.operatingSystemVersion
        let number = "\(version.majorVersion).\(version.minorVersion).\(version.patchVersion)"
        #if os(iOS)
            return "iOS \(number)"
        #elseif os(macOS)
            return "macOS \(number)"
        #else
            return "Linux \(number)"
        #endif
    }

    /// The product: `iPhone15,2`, `Mac14,7`.
    private static var hardware: String {
        #if os(macOS)
            asked("hw.model") ?? "Mac"
        #elseif canImport(Darwin)
            // In a simulator that is the computer's own.
            ProcessInfo.processInfo.environment["SIMULATOR_MODEL_IDENTIFIER"].map { "\($0) (simulator)" }
                ?? asked("hw.machine") ?? "unknown device"
        #else
            line("/sys/devices/virtual/dmi/id/product_name") ?? processor
                ?? "\(ProcessInfo.processInfo.processorCount) cores"
        #endif
    }

    private static var processor: String? {
        #if canImport(Darwin)
            asked("machdep.cpu.brand_string")
        #else
            (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?
                .split(separator: "\n").first { $0.hasPrefix("model name") }?
                .split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) }
        #endif
    }

    #if canImport(Darwin)
        private static func asked(_ name: String) -> String? {
            var size = 0
            guard sysctlbyname(name, nil, &size, nil, 0) == 0, size > 1 else { return nil }
            var bytes = [UInt8](repeating: 0, count: size)
            guard sysctlbyname(name, &bytes, &size, nil, 0) == 0 else { return nil }
            return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    #else
        private static func line(_ path: String) -> String? {
            let text = try? String(contentsOfFile: path, encoding: .utf8)
            let line = text?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
            return line.isEmpty ? nil : line
        }
    #endif
}

#if canImport(Darwin)
    extension ProcessInfo.ThermalState {
        /// As results have it.
        var word: String {
            switch self {
            case .nominal: "nominal"
            case .fair: "fair"
            case .serious: "serious"
            case .critical: "critical"
            @unknown default: "unknown"
            }
        }
    }
#endif
