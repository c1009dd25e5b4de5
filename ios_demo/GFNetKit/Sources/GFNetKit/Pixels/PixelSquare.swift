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

/// A square picture as a network takes it: three planes, red, green and blue, of values around 0 ... 255.
public struct Planes: Sendable, Equatable {
    /// Side in pixels, P.
    public let side: Int
    /// float32 [3,P,P]; a bicubic resize may leave 0 ... 255 a little.
    public let values: [Float]

    /// - Precondition: `values` are as many as `side` asks for.
    public init(side: Int, values: [Float]) {
        precondition(values.count == 3 * side * side, "\(values.count) values are no planes of \(side) pixels")
        self.side = side
        self.values = values
    }

    /// The same as 8-bit pixels, for subgraphs that take a picture: rounded, halves to even, and clipped.
    public func rounded() -> PixelSquare {
        let plane = side * side
        let bytes = [UInt8](unsafeUninitializedCapacity: 3 * plane) { bytes, count in
            values.withUnsafeBufferPointer { values in
                for channel in 0..<3 {
                    for pixel in 0..<plane {
                        let value = values[channel * plane + pixel].rounded(.toNearestOrEven)
                        bytes[3 * pixel + channel] = UInt8(min(max(value, 0), 255))
                    }
                }
            }
            count = 3 * plane
        }
        return PixelSquare(side: side, bytes: bytes)
    }
}
