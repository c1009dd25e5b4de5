/// One step of one image.
public struct StepTrace: Sendable, Equatable {
    /// 1 … T; 1 is the glance.
    public let step: Int
    /// `nil` for the glance.
    public let action: Action?
    /// `nil` for the glance.
    public let origin: Origin?
    public let logits: [Float]
    /// Largest softmax probability.
    public let confidence: Float
    /// The class that it belongs to.
    public let classIndex: Int
    public let seconds: Double

    public init(
        step: Int, action: Action?, origin: Origin?, logits: [Float], confidence: Float, classIndex: Int,
        seconds: Double
    ) {
        self.step = step
        self.action = action
        self.origin = origin
        self.logits = logits
        self.confidence = confidence
        self.classIndex = classIndex
        self.seconds = seconds
    }
}

/// All steps of one image, the last of which gave the answer.
public struct Trace: Sendable, Equatable {
    /// What the image is called.
    public let image: String
    /// At least one.
    public let steps: [StepTrace]

    /// - Precondition: there is a step.
    public init(image: String, steps: [StepTrace]) {
        precondition(!steps.isEmpty, "a trace has at least one step")
        self.image = image
        self.steps = steps
    }

    /// The step (1 … T) at which the image stopped.
    public var exitStep: Int { steps[steps.count - 1].step }
    public var classIndex: Int { steps[steps.count - 1].classIndex }
    public var confidence: Float { steps[steps.count - 1].confidence }
}

/// The policy's output: where the patch lies, as a share of the room that it has.
public struct Action: Sendable, Equatable {
    /// 0 (top) … 1 (bottom).
    public let row: Float
    /// 0 (left) … 1 (right).
    public let column: Float

    public init(row: Float, column: Float) {
        self.row = row
        self.column = column
    }
}

/// A patch's top-left pixel.
public struct Origin: Sendable, Equatable {
    public let row: Int
    public let column: Int

    public init(row: Int, column: Int) {
        self.row = row
        self.column = column
    }

    /// `floor(action * (imageSize - patchSize))` in single precision, as the network was trained with.
    public init(_ action: Action, imageSize: Int, patchSize: Int) {
        let room = Float(imageSize - patchSize)
        row = Int((action.row * room).rounded(.down))
        column = Int((action.column * room).rounded(.down))
    }
}
