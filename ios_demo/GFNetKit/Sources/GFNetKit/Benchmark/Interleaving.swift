/// Many things timed in turn, so that a device that slows down or is disturbed hits all alike.
struct Interleaving {
    /// One thing to be timed, for the image of an index.
    typealias Probe = @Sendable (Int) async throws -> Void

    /// A warm-up round that is faster than all before by this share shows that it is not steady yet.
    static let stillFalling = 0.02

    let probes: [Probe]
    let images: Int
    let clock: TimeSource
    private var random: SplitMix

    init(_ probes: [Probe], images: Int, seed: UInt64, clock: @escaping TimeSource) {
        self.probes = probes
        self.images = images
        self.clock = clock
        random = SplitMix(seed: seed)
    }

    /// Runs every probe once on an image, in a new random order, so that none always finds the caches as the same
    /// other left them.
    ///
    /// - Returns: seconds of each probe, in the order of `probes`.
    mutating func run(image: Int) async throws -> [Double] {
        var seconds = [Double](repeating: 0, count: probes.count)
        for index in probes.indices.shuffled(using: &random) {
            try Task.checkCancellation()
            let start = clock()
            try await probes[index](image)
            seconds[index] = clock() - start
        }
        return seconds
    }

    /// Whether neither of the last two rounds is much faster than all before it.
    static func isSteady(_ totals: [Double]) -> Bool {
        guard totals.count >= 3 else { return false }
        return [totals.count - 2, totals.count - 1].allSatisfy { round in
            totals[round] >= (1 - stillFalling) * totals[..<round].min()!
        }
    }
}

/// A small generator with a seed, so that a run's order can be had again.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
