/// Shrinks a square to the glance: corners aligned, no antialias, the border repeated, as the network was trained with.
///
/// Bicubic is Keys' kernel with a = -0.75.  Positions are in single precision, as in torch: otherwise the fractions
/// differ by 1e-5 and a pixel's value by 2e-3.
public struct GlanceResize: Sendable {
    /// Side of the square, pixels.
    public let imageSize: Int
    /// Side of the glance, pixels.
    public let patchSize: Int

    /// Taps of one axis: of each target pixel as many source pixels as the kernel is wide.
    private let width: Int
    private let sources: [Int]
    private let weights: [Float]

    /// - Precondition: both sizes are at least 1.
    public init(imageSize: Int, patchSize: Int, interpolation: Interpolation) {
        precondition(imageSize > 0 && patchSize > 0, "no resize from \(imageSize) to \(patchSize) pixels")
        self.imageSize = imageSize
        self.patchSize = patchSize
        let reach = interpolation == .bilinear ? 0...1 : -1...2
        width = reach.count
        let scale = patchSize > 1 ? Float(Double(imageSize - 1) / Double(patchSize - 1)) : 0
        var sources: [Int] = []
        var weights: [Float] = []
        for target in 0..<patchSize {
            let position = Float(target) * scale
            let base = Int(position)
            let offset = Double(position - Float(base))
            for tap in reach {
                sources.append(min(max(base + tap, 0), imageSize - 1))
                let distance = abs(Double(tap) - offset)
                weights.append(Float(interpolation == .bilinear ? 1 - distance : Self.keys(distance)))
            }
        }
        self.sources = sources
        self.weights = weights
    }

    private static func keys(_ distance: Double) -> Double {
        let a = -0.75
        if distance <= 1 { return ((a + 2) * distance - (a + 3)) * distance * distance + 1 }
        return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    }

    /// The glance of a square.
    ///
    /// - Throws: ``GeometryError`` if the square has another side than `imageSize`.
    public func callAsFunction(_ square: PixelSquare) throws -> Planes {
        let values = try [Float](unsafeUninitializedCapacity: 3 * patchSize * patchSize) { values, count in
            try resize(square, into: values)
            count = 3 * patchSize * patchSize
        }
        return Planes(side: patchSize, values: values)
    }

    /// The same into memory that is there already, float32 [3,P,P].
    ///
    /// - Throws: ``GeometryError`` if the square has another side than `imageSize`.
    public func resize(_ square: PixelSquare, into planes: UnsafeMutableBufferPointer<Float>) throws {
        guard square.side == imageSize else { throw GeometryError.wrongSide(square.side, expected: imageSize) }
        precondition(planes.count >= 3 * patchSize * patchSize, "no room for a glance of \(patchSize) pixels")
        square.bytes.withUnsafeBytes { bytes in
            sources.withUnsafeBufferPointer { sources in
                weights.withUnsafeBufferPointer { weights in
                    for row in 0..<patchSize {
                        for column in 0..<patchSize {
                            blend(row, column, bytes, sources, weights, planes)
                        }
                    }
                }
            }
        }
    }

    /// One target pixel, from the few source pixels that it needs: a glance reads little of a large photo.
    @inline(__always)
    private func blend(
        _ row: Int, _ column: Int, _ bytes: UnsafeRawBufferPointer, _ sources: UnsafeBufferPointer<Int>,
        _ weights: UnsafeBufferPointer<Float>, _ planes: UnsafeMutableBufferPointer<Float>
    ) {
        let stride = 3 &* imageSize
        var sum = SIMD4<Float>()
        for across in 0..<width {
            let left = 3 &* sources[column &* width &+ across]
            var down = SIMD4<Float>()
            for tap in 0..<width {
                let top = stride &* sources[row &* width &+ tap]
                down += weights[row &* width &+ tap] * Self.pixel(bytes, top &+ left)
            }
            sum += weights[column &* width &+ across] * down
        }
        let plane = patchSize * patchSize
        let at = row * patchSize + column
        planes[at] = sum.x
        planes[plane + at] = sum.y
        planes[2 * plane + at] = sum.z
    }

    /// Three channels and an unused byte: one load of four is faster than three loads.
    @inline(__always)
    private static func pixel(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> SIMD4<Float> {
        guard at &+ 4 <= bytes.count else {  // the very last pixel has no byte behind it
            return SIMD4(Float(bytes[at]), Float(bytes[at + 1]), Float(bytes[at + 2]), 0)
        }
        let four = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
        return SIMD4<Float>(unsafeBitCast(four, to: SIMD4<UInt8>.self))
    }
}
