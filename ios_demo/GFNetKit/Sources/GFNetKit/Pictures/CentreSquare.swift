import Foundation

/// Where the photo's square comes from: the shorter side is resized, and the middle cut out, as the network was trained
/// with. Equal to `gfnet.images.Preprocessing` in every size and place.
public struct CentreSquare: Sendable, Equatable {
    /// Of the whole photo once it is resized, pixels.
    public let resizedWidth: Int
    public let resizedHeight: Int
    /// The square's first column and row there; negative where the photo is smaller than the square.
    public let left: Int
    public let top: Int
    /// The square's side, pixels.
    public let side: Int

    /// - Parameters:
    ///   - width: of the upright photo, pixels.
    ///   - height: likewise.
    /// - Precondition: both are at least 1.
    public init(width: Int, height: Int, _ preprocessing: Preprocessing) {
        precondition(width > 0 && height > 0, "a photo of \(width) x \(height) pixels has no middle")
        let short = preprocessing.resizeSize
        let long = short * max(width, height) / min(width, height)
        (resizedWidth, resizedHeight) = width <= height ? (short, long) : (long, short)
        side = preprocessing.imageSize
        // Halves to even, as Python rounds.
        left = Int((Double(resizedWidth - side) / 2).rounded(.toNearestOrEven))
        top = Int((Double(resizedHeight - side) / 2).rounded(.toNearestOrEven))
    }

    /// Where the whole photo is drawn on a canvas of the square's size whose rows are counted from below.
    public var canvas: CGRect {
        CGRect(
            x: -left, y: side - resizedHeight + top, width: resizedWidth, height: resizedHeight)
    }
}
