/// A square picture of 8-bit RGB pixels, row by row, three bytes a pixel.
public struct PixelSquare: Sendable, Equatable {
    /// Side in pixels.
    public let side: Int
    /// `side * side * 3` bytes: red, green, blue of each pixel.
    public let bytes: [UInt8]

    /// - Precondition: `bytes` are as many as `side` asks for.
    public init(side: Int, bytes: [UInt8]) {
        precondition(bytes.count == side * side * 3, "\(bytes.count) bytes are no square of \(side) pixels")
        self.side = side
        self.bytes = bytes
    }
}
