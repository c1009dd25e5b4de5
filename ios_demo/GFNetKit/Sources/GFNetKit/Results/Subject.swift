/// One thing that was measured: a network step by step, or a classifier that sees the full image once.
public struct Subject: Codable, Sendable, Equatable {
    public enum Kind: String, Codable, Sendable {
        case network, classifier
    }

    /// Unique in the run.
    public var name: String
    public var kind: Kind
    /// Backbone, patch size and steps, `resnet50_p96_T5`; a classifier's is `backbone@imageSize`.
    public var network: String
    /// Side of the square that it is given, pixels.
    public var imageSize: Int
    /// Of weights and activations, and how weights are compressed.
    public var precision: String
    /// Which parts are one subgraph; `nil` says `split`.
    public var layout: String?
    /// Size of its files.
    public var bytes: Int?
    /// Digest of the bundle's manifest, which names the digests of everything else; or of the file.
    public var sha256: String?
    /// Git revision of its folder, if it lies in a repository.
    public var revision: String?
    /// Name of the subject that its ratios are to.
    public var reference: String?
    /// Cumulative multiply-adds of sequences of 1 … T steps, where known.
    @OrEmpty public var macs: [Double]
    /// Accuracy in percent after each step, as stored with the network; empty where unknown.
    @OrEmpty public var storedTop1: [Double]
    public var runtime: Runtime
    public var subgraphs: [SubgraphTiming]
    /// For T steps, T of them.
    public var stops: [Stop]
    public var loop: Loop
    @OrEmpty public var curve: [CurvePoint]
    /// A network against classifiers of known accuracy, one each.
    @OrEmpty public var matches: [Match]
    public var cold: Cold?
    /// Settings that were tried before, the fastest of which ran.
    @OrEmpty public var tried: [Tried]

    enum CodingKeys: String, CodingKey {
        case name, kind, network, precision, layout, bytes, sha256, revision, reference, macs, runtime, subgraphs
        case stops, loop, curve, matches, cold, tried
        case imageSize = "image_size"
        case storedTop1 = "stored_top1"
    }

    public init(
        about: NetworkDescription, subgraphs: [SubgraphTiming], stops: [Stop], loop: Loop, curve: [CurvePoint],
        cold: Cold?
    ) {
        name = about.name
        kind = about.steps == 1 ? .classifier : .network
        network = about.network
        imageSize = about.imageSize
        precision = about.precision
        layout = about.layout
        bytes = about.bytes
        sha256 = about.sha256
        macs = about.macs
        storedTop1 = about.storedTop1
        runtime = about.runtime
        self.subgraphs = subgraphs
        self.stops = stops
        self.loop = loop
        self.curve = curve
        matches = []
        self.cold = cold
        tried = []
    }
}
