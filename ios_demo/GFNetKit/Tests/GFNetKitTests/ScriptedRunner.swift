import GFNetKit

/// A network of three steps whose every answer a test chooses.
struct ScriptedRunner: StepRunner {
    let steps = 3
    let imageSize = 20
    let patchSize = 8
    var logits: [[Float]] = [[0, 1], [0, 2], [0, 3]]
    var action = Action(row: 0.5, column: 1)
    /// Called before every step function, with its name.
    var before: @Sendable (String) async throws -> Void = { _ in }

    static let square = PixelSquare(side: 20, bytes: [UInt8](repeating: 7, count: 1200))

    func glance(_ square: PixelSquare) async throws -> (logits: [Float], state: Int) {
        try await before("glance")
        return (logits[0], 1)
    }

    func propose(_ state: Int) async throws -> (action: Action, state: Int) {
        try await before("propose")
        return (action, state)
    }

    func focus(_ origin: Origin, step: Int, state: Int) async throws -> (logits: [Float], state: Int) {
        try await before("focus \(step)")
        return (logits[step - 1], step)
    }
}
