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
