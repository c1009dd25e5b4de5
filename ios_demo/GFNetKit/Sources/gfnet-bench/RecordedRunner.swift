import GFNetKit

/// Answers as they were recorded, at once. Which image it is stands in the square's first bytes.
struct RecordedRunner: StepRunner {
    struct State: Sendable {
        let image: Int
        let step: Int
    }

    let steps: Int
    let imageSize: Int
    let patchSize: Int
    private let logits: [[[Float]]]  // [images][steps][classes]
    private let actions: [[Action]]  // [images][steps], of the glance one that nobody asks for

    init(_ images: [RecordedImage], manifest: Manifest) {
        steps = manifest.steps
        imageSize = manifest.preprocessing.imageSize
        patchSize = manifest.patchSize
        logits = images.map { $0.steps.map { $0.logits ?? [] } }
        actions = images.map { image in
            image.steps.map { Action(row: $0.action?[0] ?? 0, column: $0.action?[1] ?? 0) }
        }
    }

    /// A square that says which image it stands for.
    static func square(_ index: Int, side: Int) -> PixelSquare {
        var bytes = [UInt8](repeating: 0, count: side * side * 3)
        for place in 0..<3 { bytes[place] = UInt8(truncatingIfNeeded: index >> (8 * place)) }
        return PixelSquare(side: side, bytes: bytes)
    }

    func glance(_ square: PixelSquare) async throws -> (logits: [Float], state: State) {
        let image = (0..<3).reduce(0) { $0 | Int(square.bytes[$1]) << (8 * $1) }
        guard logits.indices.contains(image) else { throw UsageError("a square of none of the recorded images") }
        return (logits[image][0], State(image: image, step: 1))
    }

    func propose(_ state: State) async throws -> (action: Action, state: State) {
        (actions[state.image][state.step], State(image: state.image, step: state.step + 1))
    }

    func focus(_ origin: Origin, step: Int, state: State) async throws -> (logits: [Float], state: State) {
        (logits[state.image][step - 1], state)
    }
}
