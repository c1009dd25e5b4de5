/// `manifest.json`: all that a runtime needs to know of a bundle besides its subgraphs.
///
/// ``ModelBundle`` reads the file with the verdict of Python's reader; a decoder of Foundation would pass over unknown
/// fields and take `3.0` for an integer.
public struct Manifest: Codable, Sendable, Equatable {
    /// The schema version that this release reads.
    public static let version = 1

    /// What the subgraphs are.
    public enum Format: String, Codable, Sendable {
        case onnx, coreml, coreai
    }

    /// Of weights and activations; the policy's output is float32 always.
    public enum Precision: String, Codable, Sendable {
        case fp32, fp16, int8
        /// `fp32` but for the classifiers' weights.
        case int8Heads = "int8-heads"
        /// `fp32` but for the weights of all large layers that take one vector.
        case int8Vectors = "int8-vectors"
        /// `fp32`, but for the weights on disk.
        case int8Storage = "int8-storage"
    }

    /// Of a Core ML package's weights; `w8a8`: of its activations too.
    public enum Compression: String, Codable, Sendable {
        case none, int8, palette6, palette4, w8a8
    }

    /// How the sequence was cut.
    public enum Layout: String, Codable, Sendable {
        /// Glance, policy and focus.
        case split
        /// Glance, and the rest of a step in one graph.
        case fused
        /// Like `split`, but the focus steps are functions of one package.
        case multifunction

        /// What is run at a step (1 ... T), in order.
        public func roles(atStep step: Int) -> [Role] {
            if step == 1 { return [.glance] }
            return self == .fused ? [.step] : [.policy, .focus]
        }
    }

    public let schemaVersion: Int
    /// SHA-256 of the manifest's file with these 64 digits as zeros; older releases wrote none.
    public let digest: String?
    public let format: Format
    public let precision: Precision
    public let compression: Compression
    public let layout: Layout
    /// Of 8-bit activations.
    public let calibration: Calibration?
    /// Name of the backbone.
    public let architecture: String
    /// Side of the glance and of every patch, pixels.
    public let patchSize: Int
    /// T.
    public let steps: Int
    public let numClasses: Int
    /// Class names in the order of the logits; `nil` where unknown.
    public let labels: [String]?
    public let preprocessing: Preprocessing
    /// Cumulative multiply-adds of sequences of 1 ... T steps.
    public let stepMacs: [Double]
    /// Accuracy in percent after each step; empty where unknown.
    public let anytimeTop1: [Double]
    public let budgets: [Budget]
    public let subgraphs: [Subgraph]
    public let exporter: Exporter

    enum CodingKeys: String, CodingKey {
        case schemaVersion = "schema_version"
        case digest, format, precision, compression, layout, calibration, architecture
        case patchSize = "patch_size"
        case steps
        case numClasses = "num_classes"
        case labels, preprocessing
        case stepMacs = "step_macs"
        case anytimeTop1 = "anytime_top1"
        case budgets, subgraphs, exporter
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        schemaVersion = try values.integer(.schemaVersion, in: Self.version...Self.version)
        digest = try values.digest(.digest)
        format = try values.decode(Format.self, forKey: .format)
        precision = try values.decode(Precision.self, forKey: .precision)
        compression = try values.decode(.compression, default: .none)
        layout = try values.decode(.layout, default: .split)
        calibration = try values.decodeIfPresent(Calibration.self, forKey: .calibration)
        architecture = try values.text(.architecture, atMost: Limits.architecture)
        patchSize = try values.integer(.patchSize, in: 1...Limits.imageSize)
        steps = try values.integer(.steps, in: 1...Limits.steps)
        numClasses = try values.integer(.numClasses, in: 1...Limits.classes)
        labels = try values.decodeNil(forKey: .labels) ? nil : values.list(.labels, 0...Limits.classes)
        preprocessing = try values.decode(Preprocessing.self, forKey: .preprocessing)
        stepMacs = try values.numbers(.stepMacs, atMost: Limits.steps, from: 0)
        anytimeTop1 = try values.numbers(.anytimeTop1, atMost: Limits.steps, from: 0, to: 100)
        budgets = try values.list(.budgets, 0...Limits.budgets)
        subgraphs = try values.list(.subgraphs, 0...Limits.subgraphs)
        exporter = try values.decode(Exporter.self, forKey: .exporter)
        try decoder.consistent {
            try checkCounts()
            try checkForm()
            try checkSequence()
            try checkShapes()
        }
    }

    /// Leaves out the digest, which is that of the file that was read.
    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(schemaVersion, forKey: .schemaVersion)
        try values.encode(format, forKey: .format)
        try values.encode(precision, forKey: .precision)
        try values.encode(compression, forKey: .compression)
        try values.encode(layout, forKey: .layout)
        try values.encodeIfPresent(calibration, forKey: .calibration)
        try values.encode(architecture, forKey: .architecture)
        try values.encode(patchSize, forKey: .patchSize)
        try values.encode(steps, forKey: .steps)
        try values.encode(numClasses, forKey: .numClasses)
        try values.encode(labels, forKey: .labels)  // null where unknown: readers want to find it
        try values.encode(preprocessing, forKey: .preprocessing)
        try values.encode(stepMacs, forKey: .stepMacs)
        try values.encode(anytimeTop1, forKey: .anytimeTop1)
        try values.encode(budgets, forKey: .budgets)
        try values.encode(subgraphs, forKey: .subgraphs)
        try values.encode(exporter, forKey: .exporter)
    }

    /// A class's name, or its index where names are unknown.
    public func label(_ classIndex: Int) -> String {
        guard let labels, labels.indices.contains(classIndex) else { return String(classIndex) }
        return labels[classIndex]
    }

    /// The subgraph of a role at a step (1 ... T); `nil` where the layout has none.
    public func subgraph(_ role: Role, step: Int) -> Subgraph? {
        subgraphs.first { $0.role == role && $0.steps.contains(step) }
    }
}

/// How a resize weighs pixels.
public enum Interpolation: String, Codable, Sendable {
    case bilinear, bicubic
}

/// From a photo to the full-resolution square, and from there to the glance.
public struct Preprocessing: Codable, Sendable, Equatable {
    /// Side of the square, pixels.
    public let imageSize: Int
    /// Length of the photo's shorter side before the centre crop, pixels.
    public let resizeSize: Int
    /// Of that resize, antialiased.
    public let interpolation: Interpolation
    /// Of the resize from square to glance; corners aligned, no antialias.
    public let glanceInterpolation: Interpolation
    /// Per channel, for pixels in 0 ... 1; already inside the subgraphs.
    public let mean: [Double]
    /// Likewise.
    public let std: [Double]

    enum CodingKeys: String, CodingKey {
        case imageSize = "image_size"
        case resizeSize = "resize_size"
        case interpolation
        case glanceInterpolation = "glance_interpolation"
        case mean, std
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        imageSize = try values.integer(.imageSize, in: 1...Limits.imageSize)
        resizeSize = try values.integer(.resizeSize, in: 1...Limits.imageSize * Limits.resize)
        interpolation = try values.decode(Interpolation.self, forKey: .interpolation)
        glanceInterpolation = try values.decode(Interpolation.self, forKey: .glanceInterpolation)
        mean = try values.numbers(.mean, atMost: 3)
        std = try values.numbers(.std, atMost: 3, from: .leastNonzeroMagnitude)
        try decoder.consistent(check)
    }

    private func check() throws {
        if mean.count != 3 || std.count != 3 {
            throw Contradiction(reason: "mean and std must have 3 values each")
        }
        if resizeSize > Limits.resize * imageSize {
            throw Contradiction(reason: "of a side of \(resizeSize) pixels only \(imageSize) are kept")
        }
    }
}

/// How the ranges of 8-bit activations were found.
public struct Calibration: Codable, Sendable, Equatable {
    /// What of the values seen there must fit into the range.
    public enum Method: String, Codable, Sendable {
        case entropy, percentile, minmax
    }

    /// Number of photos that were looked at.
    public let images: Int
    public let method: Method

    enum CodingKeys: String, CodingKey {
        case images, method
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        images = try values.integer(.images, in: 1...Limits.count)
        method = try values.decode(Method.self, forKey: .method)
    }
}

/// What made the bundle.
public struct Exporter: Codable, Sendable, Equatable {
    public let gfnet: String
    /// Version of each library that took part.
    public let libraries: [String: String]

    enum CodingKeys: String, CodingKey {
        case gfnet, libraries
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        gfnet = try values.text(.gfnet)
        libraries = try values.table(.libraries, 0...Limits.libraries, name: \.isText, value: \.isText)
    }
}

/// One set of thresholds, and what it was measured to give.
public struct Budget: Codable, Sendable, Equatable {
    /// Average multiply-adds per image on the split that the thresholds were found on.
    public let budget: Double
    /// One a step: an image stops at the first step whose confidence reaches it; a value above 1 stops no image, and
    /// the last step stops them all.
    public let thresholds: [Double]
    /// Accuracy in percent; `nil` where unknown.
    public let top1: Double?
    /// Average multiply-adds per image on the evaluated split.
    public let meanMacs: Double
    /// Fraction of images that stopped at each step; empty where unknown.
    public let exitDistribution: [Double]

    enum CodingKeys: String, CodingKey {
        case budget, thresholds, top1
        case meanMacs = "mean_macs"
        case exitDistribution = "exit_distribution"
    }

    public init(
        budget: Double, thresholds: [Double], top1: Double?, meanMacs: Double, exitDistribution: [Double] = []
    ) {
        self.budget = budget
        self.thresholds = thresholds
        self.top1 = top1
        self.meanMacs = meanMacs
        self.exitDistribution = exitDistribution
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        budget = try values.number(.budget, from: 0)
        thresholds = try values.numbers(.thresholds, atMost: Limits.steps)
        top1 = try values.decodeNil(forKey: .top1) ? nil : values.number(.top1, from: 0, to: 100)
        meanMacs = try values.number(.meanMacs, from: 0)
        exitDistribution = try values.numbers(.exitDistribution, atMost: Limits.steps, from: 0, to: 1)
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(budget, forKey: .budget)
        try values.encode(thresholds, forKey: .thresholds)
        try values.encode(top1, forKey: .top1)  // null where unknown: readers want to find it
        try values.encode(meanMacs, forKey: .meanMacs)
        try values.encode(exitDistribution, forKey: .exitDistribution)
    }
}
