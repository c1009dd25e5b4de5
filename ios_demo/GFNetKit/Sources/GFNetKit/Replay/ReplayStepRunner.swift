/// Plays recorded traces in place of a network, so that everything around it can be tested without one.
///
/// A recording holds no pixels.  ``square(of:)`` makes a picture that stands for an image: the number of its trace,
/// written into its first pixel.
public struct ReplayStepRunner: StepRunner {
    /// Which trace is played, and how far it is.
    public struct State: Sendable, Equatable {
        let trace: Int
        let step: Int
    }

    public let traces: [RecordedTrace]
    public let steps: Int
    public let imageSize: Int
    public let patchSize: Int

    /// - Throws: ``ReplayError``: there are no traces, or they have not all the same steps 1 ... T with an action and an
    ///   origin from the second on.
    public init(traces: [RecordedTrace], imageSize: Int, patchSize: Int) throws {
        steps = traces.first?.steps.count ?? 0
        guard steps > 0, imageSize > 0, traces.count < 1 << 24 else {
            throw ReplayError(description: "no traces to play; record some photos with `gfnet predict`")
        }
        for trace in traces {
            let isWhole = trace.steps.enumerated().allSatisfy { index, step in
                step.step == index + 1 && (index == 0) == (step.action == nil) && (index == 0) == (step.origin == nil)
            }
            guard isWhole, trace.steps.count == steps else {
                throw ReplayError(
                    description: "\(trace.image.oneLine): not all of the \(steps) steps that other images have; "
                        + "record with --all-steps")
            }
        }
        self.traces = traces
        self.imageSize = imageSize
        self.patchSize = patchSize
    }

    /// The traces of a bundle.
    ///
    /// - Throws: ``ReplayError``, also if the bundle has another number of steps or classes than the traces.
    public init(traces: [RecordedTrace], manifest: Manifest) throws {
        try self.init(traces: traces, imageSize: manifest.preprocessing.imageSize, patchSize: manifest.patchSize)
        let answers = traces.flatMap(\.steps).map(\.logits.count)
        guard steps == manifest.steps, answers.allSatisfy({ $0 == manifest.numClasses }) else {
            throw ReplayError(
                description: "the traces are not of this bundle, which has \(manifest.steps) steps and "
                    + "\(manifest.numClasses) classes; give the manifest of the bundle that was recorded")
        }
    }

    /// The picture that stands for the image of a trace.
    ///
    /// - Precondition: there is such a trace.
    public func square(of trace: Int) -> PixelSquare {
        precondition(traces.indices.contains(trace), "there is no trace \(trace)")
        var bytes = [UInt8](repeating: 0, count: 3 * imageSize * imageSize)
        for index in 0..<3 { bytes[index] = UInt8(truncatingIfNeeded: trace >> (8 * index)) }
        return PixelSquare(side: imageSize, bytes: bytes)
    }

    public func glance(_ square: PixelSquare) async throws -> (logits: [Float], state: State) {
        let trace = (0..<3).reduce(0) { $0 | Int(square.bytes[$1]) << (8 * $1) }
        guard traces.indices.contains(trace) else {
            throw ReplayError(description: "a picture that stands for no trace; make it with square(of:)")
        }
        return (traces[trace].steps[0].logits, State(trace: trace, step: 1))
    }

    public func propose(_ state: State) async throws -> (action: Action, state: State) {
        let steps = traces[state.trace].steps
        guard state.step < steps.count, let action = steps[state.step].action else {
            throw ReplayError(
                description: "there is no step behind step \(state.step); the bundle was recorded to there")
        }
        return (action, state)
    }

    public func focus(_ origin: Origin, step: Int, state: State) async throws -> (logits: [Float], state: State) {
        let trace = traces[state.trace]
        guard step == state.step + 1, step <= steps else {
            throw ReplayError(description: "step \(step) cannot follow step \(state.step); run them in order")
        }
        let recorded = trace.steps[step - 1]
        // Another patch would have had other logits, which were not recorded.
        guard recorded.origin == origin else {
            throw ReplayError(
                description: "\(trace.image.oneLine): step \(step) looks at row \(origin.row), column "
                    + "\(origin.column), but the recording did not; record it again with this bundle")
        }
        return (recorded.logits, State(trace: state.trace, step: step))
    }
}
