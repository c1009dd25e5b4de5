/// One exported part of the network.
public struct Subgraph: Codable, Sendable, Equatable {
    public let name: String
    public let role: Role
    /// The steps (1 ... T) that run it.
    public let steps: [Int]
    /// Its file or package, relative to the manifest; several may lie in one package.
    public let path: String
    /// Which function of the package it is, where there are several.
    public let function: String?
    /// Digest of every file that holds content, by path relative to the manifest.
    public let sha256: [String: String]
    public let inputs: [TensorSpec]
    public let outputs: [TensorSpec]
    /// Layers that were left in floating point where the others are 8-bit.
    public let floatLayers: [String]

    enum CodingKeys: String, CodingKey {
        case name, role, steps, path, function, sha256, inputs, outputs
        case floatLayers = "float_layers"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        name = try values.text(.name)
        role = try values.decode(Role.self, forKey: .role)
        steps = try values.integers(.steps, 1...Limits.steps, in: 1...Limits.steps)
        path = try values.decode(String.self, forKey: .path)
        function =
            try values.contains(.function) && !values.decodeNil(forKey: .function) ? values.text(.function) : nil
        sha256 = try values.table(.sha256, 1...Limits.files, name: \.isPlainPath, value: \.isSHA256)
        inputs = try values.list(.inputs, 0...Limits.tensors)
        outputs = try values.list(.outputs, 0...Limits.tensors)
        floatLayers = values.contains(.floatLayers) ? try values.list(.floatLayers, 0...Limits.floatLayers) : []
        try decoder.consistent(check)
    }

    private func check() throws {
        guard floatLayers.allSatisfy(\.isText) else {
            throw Contradiction(reason: "float_layers are not all one line of 1 ... \(Limits.text) characters")
        }
        guard path.isPlainPath else {
            throw Contradiction(reason: "path \(path.oneLine) is not a plain relative path inside the bundle")
        }
        for file in sha256.keys where !file.isSpelled(path) && !file.utf8.starts(with: (path + "/").utf8) {
            throw Contradiction(reason: "sha256 has \(file.oneLine), which is not a part of \(path)")
        }
        let given = inputs.map(\.name).sorted()
        guard given.isSpelled(role.inputs.sorted()) else {
            throw Contradiction(
                reason: "a \(role) has the inputs \(role.inputs.sorted().joined(separator: ", ")), not "
                    + given.joined(separator: ", "))
        }
        let told = Set(outputs.map { Array($0.name.utf8) })
        guard told.count == outputs.count, role.answers.allSatisfy({ told.contains(Array($0.utf8)) }) else {
            throw Contradiction(
                reason: "a \(role) gives \(role.answers.sorted().joined(separator: ", ")), not "
                    + outputs.map(\.name).joined(separator: ", "))
        }
    }
}

extension [String] {
    fileprivate func isSpelled(_ other: [String]) -> Bool {
        count == other.count && zip(self, other).allSatisfy { $0.isSpelled($1) }
    }
}

extension String {
    /// Whether it names something inside a folder, in the one spelling that there is for it.
    var isPlainPath: Bool {
        let parts = utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        return (1...Limits.path).contains(unicodeScalars.count)
            && parts.allSatisfy { part in
                !part.isEmpty && part.count <= Limits.name && !part.elementsEqual(".".utf8)
                    && !part.elementsEqual("..".utf8)
            }
            && !utf8.contains(UInt8(ascii: "\\")) && !utf8.contains(UInt8(ascii: ":")) && isPrintable
    }
}

/// One input or output of a subgraph.
public struct TensorSpec: Codable, Sendable, Equatable {
    public enum DType: String, Codable, Sendable {
        case float32, uint8
    }

    public enum Kind: String, Codable, Sendable {
        case tensor
        /// An RGB picture of 8 bits a channel.  A caller that has pixels with fractions rounds them, halves to even, and clips
        /// what a bicubic resize made darker than black or brighter than white.
        case image
    }

    public let name: String
    /// Of a picture: that of its planes inside the graph.
    public let shape: [Int]
    public let dtype: DType
    public let kind: Kind

    enum CodingKeys: String, CodingKey {
        case name, shape, dtype, kind
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        name = try values.text(.name)
        shape = try values.integers(.shape, 0...Limits.dimensions, in: 1...Limits.count)
        dtype = try values.decode(DType.self, forKey: .dtype)
        kind = try values.decode(.kind, default: .tensor)
        try decoder.consistent(check)
    }

    private func check() throws {
        // In floating point, where no product of eight counts overflows.
        if shape.reduce(1.0, { $0 * Double($1) }) > Double(Limits.elements) {
            throw Contradiction(reason: "\(name) of \(shape) is larger than any tensor of a network")
        }
        if kind == .image && !name.isSpelled(TensorName.image) && !name.isSpelled(TensorName.patch) {
            throw Contradiction(reason: "\(name) cannot be an image")
        }
        if dtype != (kind == .image || name.isSpelled(TensorName.pixels) ? .uint8 : .float32) {
            throw Contradiction(reason: "\(name) cannot be \(dtype.rawValue)")
        }
    }
}

/// The names of every subgraph's tensors.
public enum TensorName {
    /// The glance, float32 [1,3,P,P], pixels in 0 ... 255.
    public static let image = "image"
    /// A focus step's patch, float32 [1,3,P,P], pixels in 0 ... 255.
    public static let patch = "patch"
    /// What the policy looks at, float32 [1,C,h,w].
    public static let featureMap = "feature_map"
    /// A step's answer before softmax, float32 [1,classes].
    public static let logits = "logits"
    /// Where to look next, (row, column) in 0 ... 1, float32 [1,2].
    public static let action = "action"
    /// The full-resolution square as it lies in memory, uint8 [1,S,S,3]; for steps that crop by themselves.
    public static let pixels = "pixels"
    /// A feature map that leaves a graph which another one entered.
    public static let newFeatureMap = "new_feature_map"
    /// The classifier's memory before a step; after it, ``newMemory``.
    public static let memory = "memory"
    public static let newMemory = "new_memory"
    /// The policy's memory before a proposal, zeros at first; after it, ``newHidden``.
    public static let hidden = "hidden"
    public static let newHidden = "new_hidden"

    /// The later input that an output of a subgraph becomes.
    public static func carried(_ output: String) -> String {
        switch output {
        case newMemory: memory
        case newHidden: hidden
        case newFeatureMap: featureMap
        default: output
        }
    }
}

/// What a subgraph does in the sequence; `step`: policy, crop and focus in one.
public enum Role: String, Codable, Sendable {
    case glance, policy, focus, step

    /// What it is given.
    public var inputs: Set<String> {
        switch self {
        case .glance: [TensorName.image]
        case .policy: [TensorName.featureMap, TensorName.hidden]
        case .focus: [TensorName.patch, TensorName.memory]
        case .step: [TensorName.pixels, TensorName.featureMap, TensorName.hidden, TensorName.memory]
        }
    }

    /// What it gives at least.
    public var answers: Set<String> {
        switch self {
        case .glance, .focus: [TensorName.logits]
        case .policy: [TensorName.action, TensorName.newHidden]
        case .step: [TensorName.action, TensorName.logits]
        }
    }
}

// In messages and results these are spelled as in the manifest.
extension Manifest.Format: CustomStringConvertible {
    public var description: String { rawValue }
}

extension Manifest.Precision: CustomStringConvertible {
    public var description: String { rawValue }
}

extension Manifest.Compression: CustomStringConvertible {
    public var description: String { rawValue }
}

extension Manifest.Layout: CustomStringConvertible {
    public var description: String { rawValue }
}

extension Role: CustomStringConvertible {
    public var description: String { rawValue }
}
