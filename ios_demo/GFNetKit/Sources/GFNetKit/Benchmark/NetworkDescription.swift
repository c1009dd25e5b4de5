/// What a result says of a network besides its times.
public struct NetworkDescription: Sendable, Equatable {
    /// One subgraph, and when it runs.
    public struct Part: Sendable, Equatable {
        public let name: String
        public let role: String
        /// The steps (1 … T) that run it.
        public let steps: [Int]

        public init(name: String, role: String, steps: [Int]) {
            self.name = name
            self.role = role
            self.steps = steps
        }
    }

    /// Unique in the run.
    public let name: String
    /// Backbone, patch size and steps: `resnet50_p96_T5`.
    public let network: String
    /// Side of the square, pixels.
    public let imageSize: Int
    /// T.
    public let steps: Int
    public let precision: String
    public let layout: String
    /// Size of its files, where known.
    public let bytes: Int?
    /// Digest of the bundle's manifest, where there is one.
    public let sha256: String?
    /// Cumulative multiply-adds of sequences of 1 … T steps.
    public let macs: [Double]
    /// Accuracy in percent after each step; empty where unknown.
    public let storedTop1: [Double]
    public let budgets: [Budget]
    public let parts: [Part]
    public let runtime: Runtime

    /// Of a model file that is not a bundle.
    init(
        name: String, network: String, imageSize: Int, steps: Int, budgets: [Budget], parts: [Part], runtime: Runtime
    ) {
        self.name = name
        self.network = network
        self.imageSize = imageSize
        self.steps = steps
        precision = "fp32"
        layout = "split"
        bytes = nil
        sha256 = nil
        macs = []
        storedTop1 = []
        self.budgets = budgets
        self.parts = parts
        self.runtime = runtime
    }

    /// A bundle's network.
    ///
    /// - Parameters:
    ///   - name: unique in the run; by default its precision.
    ///   - bytes: of the bundle's files.
    ///   - sha256: of its manifest.
    public init(
        _ manifest: Manifest, name: String? = nil, runtime: Runtime, bytes: Int? = nil, sha256: String? = nil
    ) {
        let isWhole = manifest.steps == 1  // one step is a classifier, not a sequence
        let weights = manifest.compression == .none ? "" : ", \(manifest.compression.rawValue)"
        precision = manifest.precision.rawValue + weights
        self.name = name ?? precision
        imageSize = manifest.preprocessing.imageSize
        network =
            isWhole
            ? "\(manifest.architecture)@\(imageSize)"
            : "\(manifest.architecture)_p\(manifest.patchSize)_T\(manifest.steps)"
        steps = manifest.steps
        layout = manifest.layout.rawValue
        self.bytes = bytes
        self.sha256 = sha256
        macs = manifest.stepMacs
        storedTop1 = manifest.anytimeTop1
        budgets = manifest.budgets
        parts = manifest.subgraphs.map { graph in
            Part(name: graph.name, role: isWhole ? "classifier" : graph.role.rawValue, steps: graph.steps)
        }
        self.runtime = runtime
    }
}

#if canImport(CoreML)
    import Foundation

    extension NetworkDescription {
        /// A bundle as Core ML runs it.
        ///
        /// - Throws: `BundleError` or a file's error: the bundle's files cannot be read any more.
        public init(_ bundle: ModelBundle, units: ComputeUnits) throws {
            let files = Set(bundle.manifest.subgraphs.flatMap(\.sha256.keys))
            let sizes = try files.map { name in
                let file = bundle.folder.appendingPathComponent(name).resolvingSymlinksInPath()
                return try FileManager.default.attributesOfItem(atPath: file.path)[.size] as? Int ?? 0
            }
            let system = ProcessInfo.processInfo.operatingSystemVersion
            self.init(
                bundle.manifest,
                runtime: Runtime(
                    name: "Core ML",
                    version: "\(system.majorVersion).\(system.minorVersion).\(system.patchVersion)",
                    computeUnits: units.rawValue),
                bytes: sizes.reduce(0, +),
                sha256: try fileSHA256(bundle.folder.appendingPathComponent(ModelBundle.manifestName)))
        }
    }
#endif
