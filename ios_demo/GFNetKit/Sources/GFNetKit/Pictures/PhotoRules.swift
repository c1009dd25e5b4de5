import Foundation

/// Which photos are read: the rules of Python's `gfnet.images`.
public enum PhotoRules {
    /// What counts as a photo when a folder is searched, in small letters.
    public static let suffixes: Set<String> = [
        "apng", "avif", "avifs", "bmp", "gif", "heic", "heics", "heif", "heifs", "hif", "j2c", "j2k", "jfif", "jp2",
        "jpc", "jpe", "jpeg", "jpf", "jpg", "jpx", "mpo", "pbm", "pgm", "png", "pnm", "ppm", "tif", "tiff", "webp",
    ]
    /// Larger photos are refused before they are decoded.
    public static let mostPixels = 178_956_970
    /// The longer side is at most so many times the shorter.
    public static let longestAspect = 64

    /// - Throws: `PhotoError`: a photo of this size is empty, or larger or longer than the limits.
    public static func check(width: Int, height: Int, name: String) throws {
        let size = "\(name): \(width) x \(height) pixels"
        guard width > 0, height > 0 else { throw PhotoError("\(size) show nothing; try another photo") }
        guard width <= mostPixels / height else {
            throw PhotoError("\(size) are more than \(mostPixels); shrink it")
        }
        let (short, long) = (min(width, height), max(width, height))
        guard long <= longestAspect * short else {
            throw PhotoError("\(size) are a line, more than \(longestAspect) times as long as wide; crop it")
        }
    }
}

/// A photo that cannot be read; one line that says what to do.
public struct PhotoError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    public let description: String
    public var errorDescription: String? { description }

    public init(_ description: String) {
        self.description = description
    }
}
