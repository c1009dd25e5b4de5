import Foundation

/// A runner that notes how long each call of a subgraph took, without what is done around it.
public protocol SubgraphTimed: StepRunner {
    /// Seconds of all calls since the last time, by the subgraph's name, in the order of the calls; forgets them.
    func drainSamples() async -> [String: [Double]]

    /// Seconds that loading took, by the subgraph's name; empty where nothing is loaded.
    var loadSeconds: [String: Double] { get async }
}

extension SubgraphTimed {
    public var loadSeconds: [String: Double] { [:] }
}

/// Times the step functions of a runner that does not know its subgraphs' times; a focus counts with its crop.
public struct TimedStepRunner<Base: StepRunner>: SubgraphTimed {
    public struct State: Sendable {
        let base: Base.State
        /// The last step that was begun.
        let step: Int
    }

    public let base: Base
    private let names: [Key: String]
    private let clock: TimeSource
    private let samples = Samples()

    private struct Key: Hashable {
        let role: String
        let step: Int
    }

    public var steps: Int { base.steps }
    public var imageSize: Int { base.imageSize }
    public var patchSize: Int { base.patchSize }

    /// - Parameters:
    ///   - parts: whose names the samples get; a step without one goes untimed.
    ///   - clock: seconds.
    public init(_ base: Base, parts: [NetworkDescription.Part], clock: @escaping TimeSource = systemClock) {
        self.base = base
        self.clock = clock
        var names: [Key: String] = [:]
        for part in parts {
            for step in part.steps {
                names[Key(role: part.role == "classifier" ? "glance" : part.role, step: step)] = part.name
            }
        }
        self.names = names
    }

    public func glance(_ square: PixelSquare) async throws -> (logits: [Float], state: State) {
        let start = clock()
        let (logits, state) = try await base.glance(square)
        note(start, "glance", 1)
        return (logits, State(base: state, step: 1))
    }

    public func propose(_ state: State) async throws -> (action: Action, state: State) {
        let start = clock()
        let (action, next) = try await base.propose(state.base)
        // A step that is one graph has done all its work by now.
        note(start, names[Key(role: "step", step: state.step + 1)] == nil ? "policy" : "step", state.step + 1)
        return (action, State(base: next, step: state.step + 1))
    }

    public func focus(_ origin: Origin, step: Int, state: State) async throws -> (logits: [Float], state: State) {
        let start = clock()
        let (logits, next) = try await base.focus(origin, step: step, state: state.base)
        note(start, "focus", step)
        return (logits, State(base: next, step: step))
    }

    public func drainSamples() async -> [String: [Double]] {
        samples.drain()
    }

    private func note(_ start: Double, _ role: String, _ step: Int) {
        let seconds = clock() - start
        if let name = names[Key(role: role, step: step)] { samples.add(seconds, to: name) }
    }
}

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
