import Foundation

public typealias CFString = String
public typealias CFData = Data
public typealias CFDictionary = [String: Any]
public final class CFAllocator {}

public final class CGColorSpace {
    public static let sRGB: CFString = ""
    public init?(name: CFString) {}
}

public enum CGImageAlphaInfo: UInt32 {
    case noneSkipLast = 5
}

public final class CGImage {
    public var width: Int { fatalError() }
    public var height: Int { fatalError() }
}

public enum CGInterpolationQuality: Int32, Sendable {
    case high = 3
}

public final class CGContext {
    public var interpolationQuality: CGInterpolationQuality
    public var data: UnsafeMutableRawPointer? { fatalError() }
    public var bytesPerRow: Int { fatalError() }
    public init?(
        data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int, bytesPerRow: Int,
        space: CGColorSpace, bitmapInfo: UInt32
    ) { fatalError() }
    public func setFillColor(gray: CGFloat, alpha: CGFloat) {}
    public func fill(_ rect: CGRect) {}
    public func draw(_ image: CGImage, in rect: CGRect) {}
}
