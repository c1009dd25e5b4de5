import Foundation

/// Collects samples by name, from wherever they come.
final class Samples: @unchecked Sendable {
    // Guarded by `lock`, which is why the compiler's check can be left out.
    private var samples: [String: [Double]] = [:]
    private let lock = NSLock()

    func add(_ seconds: Double, to name: String) {
        lock.withLock { samples[name, default: []].append(seconds) }
    }

    func drain() -> [String: [Double]] {
        lock.withLock {
            defer { samples = [:] }
            return samples
        }
    }
}
