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
