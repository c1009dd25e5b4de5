import Foundation

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
