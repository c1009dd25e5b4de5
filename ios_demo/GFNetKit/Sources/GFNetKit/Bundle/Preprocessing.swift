/// How a resize weighs pixels.
public enum Interpolation: String, Codable, Sendable {
    case bilinear, bicubic
}

/// From a photo to the full-resolution square, and from there to the glance.
public struct Preprocessing: Codable, Sendable, Equatable {
    /// Side of the square, pixels.
    public let imageSize: Int
    /// Length of the photo's shorter side before the centre crop, pixels.
    public let resizeSize: Int
    /// Of that resize, antialiased.
    public let interpolation: Interpolation
    /// Of the resize from square to glance; corners aligned, no antialias.
    public let glanceInterpolation: Interpolation
    /// Per channel, for pixels in 0 ... 1; already inside the subgraphs.
    public let mean: [Double]
    /// Likewise.
    public let std: [Double]

    enum CodingKeys: String, CodingKey, CaseIterable {
        case imageSize = "image_size"
        case resizeSize = "resize_size"
        case interpolation
        case glanceInterpolation = "glance_interpolation"
        case mean, std
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.closedContainer(CodingKeys.self)
        imageSize = try values.integer(.imageSize, in: 1...Limits.imageSize)
        resizeSize = try values.integer(.resizeSize, in: 1...Limits.imageSize * Limits.resize)
        interpolation = try values.decode(Interpolation.self, forKey: .interpolation)
        glanceInterpolation = try values.decode(Interpolation.self, forKey: .glanceInterpolation)
        mean = try values.numbers(.mean, atMost: 3)
        std = try values.numbers(.std, atMost: 3, from: .leastNonzeroMagnitude)
        try decoder.consistent(check)
    }

    private func check() throws {
        if mean.count != 3 || std.count != 3 {
            throw Contradiction(reason: "mean and std must have 3 values each")
        }
        if resizeSize > Limits.resize * imageSize {
            throw Contradiction(reason: "of a side of \(resizeSize) pixels only \(imageSize) are kept")
        }
    }
}
