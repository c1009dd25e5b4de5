import Foundation

/// How a benchmark goes about it.
public struct BenchmarkPlan: Sendable, Equatable {
    /// Measured ones; each runs every image to every step.
    public var rounds: Int
    /// T thresholds for the loop with own exits; `nil` runs all steps.
    public var thresholds: [Double]?
    /// Images of a warm-up round.
    public var warmupImages = 8
    /// After which it is measured even if times still fall.
    public var mostWarmupRounds = 20
    /// Of the order in which things are timed.
    public var seed: UInt64 = 0

    public init(rounds: Int = 10, thresholds: [Double]? = nil) {
        self.rounds = rounds
        self.thresholds = thresholds
    }
}

/// A picture that is ready to be classified.
public struct BenchmarkImage: Sendable {
    public let name: String
    public let square: PixelSquare
    /// Its class, where known.
    public let classIndex: Int?

    public init(name: String, square: PixelSquare, classIndex: Int? = nil) {
        self.name = name
        self.square = square
        self.classIndex = classIndex
    }
}

/// How far a benchmark is.
public struct BenchmarkProgress: Sendable, Equatable {
    public enum Phase: Sendable, Equatable {
        case warmup, measuring
    }

    public let phase: Phase
    /// Images done, of all rounds together; of a warm-up, its rounds.
    public let done: Int
    /// How many there will be; of a warm-up, at most.
    public let total: Int
    /// Mean latency of each finished round of whole images with their own exits, milliseconds.
    public let roundMs: [Double]
}

/// Why a benchmark cannot begin; one line that says what to do.
public struct BenchmarkError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    public let description: String
    public var errorDescription: String? { description }

    public init(_ description: String) {
        self.description = description
    }
}
