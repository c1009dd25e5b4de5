/// What loading and the first image took; how cold the system's caches were, only the caller knows.
public struct ColdStart: Sendable, Equatable {
    /// Until every subgraph could be called.
    public let loadSeconds: Double
    /// The first image, once it was preprocessed, all steps.
    public let firstImageSeconds: Double
    /// Of each subgraph, by name.
    public let subgraphLoads: [String: Double]
    /// Its first call, by name.
    public let firstCalls: [String: Double]

    public init(
        loadSeconds: Double, firstImageSeconds: Double, subgraphLoads: [String: Double] = [:],
        firstCalls: [String: Double] = [:]
    ) {
        self.loadSeconds = loadSeconds
        self.firstImageSeconds = firstImageSeconds
        self.subgraphLoads = subgraphLoads
        self.firstCalls = firstCalls
    }

    /// Loads a network and runs its first image; do that once, before anything else ran it.
    ///
    /// - Parameters:
    ///   - clock: seconds.
    ///   - load: makes a runner that is ready to be called.
    /// - Returns: the runner, now no longer cold, and what it took.
    public static func measure<Runner: SubgraphTimed>(
        on image: BenchmarkImage, clock: @escaping TimeSource = systemClock, load: () async throws -> Runner
    ) async throws -> (runner: Runner, cold: ColdStart) {
        let start = clock()
        let runner = try await load()
        let loaded = clock()
        let engine = AdaptiveEngine(runner, clock: clock)
        _ = await runner.drainSamples()
        let begin = clock()
        _ = try await engine.classify(image.square, name: image.name, thresholds: nil)
        let end = clock()
        let calls = await runner.drainSamples()
        let cold = ColdStart(
            loadSeconds: loaded - start, firstImageSeconds: end - begin, subgraphLoads: await runner.loadSeconds,
            firstCalls: calls.compactMapValues(\.first))
        return (runner, cold)
    }
}
