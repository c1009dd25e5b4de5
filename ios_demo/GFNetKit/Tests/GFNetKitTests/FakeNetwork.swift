import Foundation

@testable import GFNetKit

/// A clock that a test moves; each step function of `FakeRunner` takes what the test says.
final class FakeClock: @unchecked Sendable {
    private var seconds = 0.0
    private let lock = NSLock()

    var clock: TimeSource { { self.lock.withLock { self.seconds } } }

    func pass(_ duration: Double) {
        lock.withLock { seconds += duration }
    }
}

/// Three steps of 1, 2 and 2 milliseconds; image n, by its first byte, is sure after step n + 1.
struct FakeRunner: StepRunner {
    let time: FakeClock
    let steps = 3
    let imageSize = 8
    let patchSize = 4

    func glance(_ square: PixelSquare) async throws -> (logits: [Float], state: Int) {
        time.pass(1e-3)
        return (logits(Int(square.bytes[0]), step: 1), Int(square.bytes[0]))
    }

    func propose(_ state: Int) async throws -> (action: Action, state: Int) {
        time.pass(0.5e-3)
        return (Action(row: 0.5, column: 0.5), state)
    }

    func focus(_ origin: Origin, step: Int, state: Int) async throws -> (logits: [Float], state: Int) {
        time.pass(1.5e-3)
        return (logits(state, step: step), state)
    }

    private func logits(_ image: Int, step: Int) -> [Float] {
        step > image ? [0, 9] : [0.1, 0]
    }

    static func image(_ number: UInt8, classIndex: Int? = 1) -> BenchmarkImage {
        var bytes = [UInt8](repeating: 0, count: 8 * 8 * 3)
        bytes[0] = number
        return BenchmarkImage(
            name: "image \(number)", square: PixelSquare(side: 8, bytes: bytes), classIndex: classIndex)
    }
}

/// A device whose states a test lists, one for each time that it is asked; the last one lasts.
actor FakeDevice: DeviceMonitor {
    private var states: [DeviceState]

    init(_ states: [DeviceState] = [DeviceState()]) {
        self.states = states
    }

    func machine() -> Machine { Machine(device: "Phone 12", os: "iOS 16") }

    func state() -> DeviceState { states.count > 1 ? states.removeFirst() : states[0] }
}

extension NetworkDescription {
    static let fake = NetworkDescription(
        name: "fp16", network: "tiny_p4_T3", imageSize: 8, steps: 3,
        budgets: [
            Budget(
                budget: 2e6, thresholds: [0.9, 0.9, -1e8], top1: 80, meanMacs: 2e6,
                exitDistribution: [0.5, 0.25, 0.25])
        ],
        parts: [
            Part(name: "glance", role: "glance", steps: [1]), Part(name: "policy", role: "policy", steps: [2, 3]),
            Part(name: "focus", role: "focus", steps: [2, 3]),
        ], runtime: Runtime(name: "fake", version: "1", computeUnits: "none"))
}
