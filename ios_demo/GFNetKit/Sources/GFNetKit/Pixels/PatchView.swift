import Foundation

/// A patch where it lies inside its square: no pixel is copied until somebody asks for it.
public struct PatchView: Sendable {
    /// Side in pixels, P.
    public let side: Int
    public let origin: Origin
    private let parent: PixelSquare

    /// - Throws: ``GeometryError`` if the patch does not lie inside the square.
    public init(of square: PixelSquare, at origin: Origin, side: Int) throws {
        // By subtraction: an origin may be any number, and a sum could overflow.
        guard side > 0, side <= square.side, (0...square.side - side).contains(origin.row),
            (0...square.side - side).contains(origin.column)
        else { throw GeometryError.patchOutside(origin, side: side, imageSize: square.side) }
        parent = square
        self.origin = origin
        self.side = side
    }

    /// Bytes from one row to the next: the square's.
    public var rowStride: Int { 3 * parent.side }

    /// Lends the square's own bytes, from the patch's first to its last: red, green, blue of each pixel, a row every
    /// ``rowStride`` bytes.
    public func withUnsafeBufferPointer<Value>(_ body: (UnsafeBufferPointer<UInt8>) throws -> Value) rethrows -> Value {
        let first = origin.row * rowStride + 3 * origin.column
        let end = first + (side - 1) * rowStride + 3 * side
        return try parent.bytes.withUnsafeBufferPointer { try body(UnsafeBufferPointer(rebasing: $0[first..<end])) }
    }

    /// A copy as a subgraph's input, float32 [3,P,P], values 0 ... 255.
    public func planes() -> Planes {
        let values = [Float](unsafeUninitializedCapacity: 3 * side * side) { values, count in
            write(into: values)
            count = 3 * side * side
        }
        return Planes(side: side, values: values)
    }

    /// The same into memory that is there already, float32 [3,P,P].
    public func write(into planes: UnsafeMutableBufferPointer<Float>) {
        let plane = side * side
        precondition(planes.count >= 3 * plane, "no room for a patch of \(side) pixels")
        withUnsafeBufferPointer { bytes in
            for row in 0..<side {
                for column in 0..<side {
                    let from = row * rowStride + 3 * column
                    let to = row * side + column
                    planes[to] = Float(bytes[from])
                    planes[plane + to] = Float(bytes[from + 1])
                    planes[2 * plane + to] = Float(bytes[from + 2])
                }
            }
        }
    }

    /// A copy as a picture.
    public func pixels() -> PixelSquare {
        let bytes = [UInt8](unsafeUninitializedCapacity: 3 * side * side) { copy, count in
            withUnsafeBufferPointer { bytes in
                for row in 0..<side {
                    for index in 0..<3 * side { copy[3 * side * row + index] = bytes[row * rowStride + index] }
                }
            }
            count = 3 * side * side
        }
        return PixelSquare(side: side, bytes: bytes)
    }
}

/// A square or a patch is not of the size, or not at the place, that a network needs.
public enum GeometryError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    /// A square has this side, pixels.
    case wrongSide(Int, expected: Int)
    /// A patch of this side at this origin does not lie inside its square.
    case patchOutside(Origin, side: Int, imageSize: Int)

    public var description: String {
        switch self {
        case .wrongSide(let side, let expected):
            "a square of \(side) pixels a side, but the network takes \(expected); resize and crop the photo to that"
        case .patchOutside(let origin, let side, let imageSize):
            "a patch of \(side) pixels at row \(origin.row), column \(origin.column) is not inside a square of "
                + "\(imageSize); give an image that is not smaller than the patch, and an action in 0 ... 1"
        }
    }
    public var errorDescription: String? { description }
}
