// Stands in for what is written elsewhere at the same time; it goes when the two are merged.
import Foundation

public struct Budget: Codable, Sendable, Equatable {
    public let budget: Double
    public let thresholds: [Double]
    public let top1: Double?
    public let meanMacs: Double
    public let exitDistribution: [Double]

    enum CodingKeys: String, CodingKey {
        case budget, thresholds, top1
        case meanMacs = "mean_macs"
        case exitDistribution = "exit_distribution"
    }
}

public struct TensorSpec: Codable, Sendable, Equatable {
    public let name: String
    public let shape: [Int]
    public let dtype: String
    public let kind: String
}

public struct Subgraph: Codable, Sendable, Equatable {
    public let name: String
    public let role: String
    public let steps: [Int]
    public let path: String
    public let function: String?
    public let sha256: [String: String]
    public let inputs: [TensorSpec]
    public let outputs: [TensorSpec]
}

public struct Preprocessing: Codable, Sendable, Equatable {
    public let imageSize: Int
    public let resizeSize: Int

    enum CodingKeys: String, CodingKey {
        case imageSize = "image_size"
        case resizeSize = "resize_size"
    }
}

public struct Manifest: Codable, Sendable, Equatable {
    public let format: String
    public let precision: String
    public let compression: String
    public let layout: String
    public let architecture: String
    public let patchSize: Int
    public let steps: Int
    public let numClasses: Int
    public let labels: [String]?
    public let preprocessing: Preprocessing
    public let stepMacs: [Double]
    public let anytimeTop1: [Double]
    public let budgets: [Budget]
    public let subgraphs: [Subgraph]

    enum CodingKeys: String, CodingKey {
        case format, precision, compression, layout, architecture, steps, labels, preprocessing, budgets, subgraphs
        case patchSize = "patch_size"
        case numClasses = "num_classes"
        case stepMacs = "step_macs"
        case anytimeTop1 = "anytime_top1"
    }
}

public actor AdaptiveEngine<Runner: StepRunner> {
    private let runner: Runner
    private let clock: Clock

    public init(_ runner: Runner, clock: @escaping Clock = systemClock) {
        self.runner = runner
        self.clock = clock
    }

    public func classify(_ square: PixelSquare, name: String, thresholds: [Double]?) async throws -> Trace {
        var steps: [StepTrace] = []
        var (logits, state) = try await runner.glance(square)
        var action: Action?
        var origin: Origin?
        for step in 1...runner.steps {
            if step > 1 {
                try Task.checkCancellation()
                let proposed = try await runner.propose(state)
                let place = Origin(proposed.action, imageSize: runner.imageSize, patchSize: runner.patchSize)
                (action, origin) = (proposed.action, place)
                (logits, state) = try await runner.focus(place, step: step, state: proposed.state)
            }
            let best = logits.indices.max { logits[$0] < logits[$1] }!
            let confidence = 1 / logits.map { Float(exp(Double($0 - logits[best]))) }.reduce(0, +)
            steps.append(
                StepTrace(
                    step: step, action: action, origin: origin, logits: logits, confidence: confidence,
                    classIndex: best, seconds: 0))
            if let thresholds, confidence >= Float(thresholds[step - 1]) { break }
        }
        return Trace(image: name, steps: steps)
    }
}
