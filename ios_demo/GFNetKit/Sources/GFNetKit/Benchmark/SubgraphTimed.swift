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
