import Testing

@testable import GFNetKit

/// In pixel values of 0 ... 255.  Both sides sum in single precision, in another order, and the fixtures are rounded to
/// 1e-5; reached: 8e-6.
private let tolerance: Float = 5e-5

private struct GoldenResize: Decodable {
    let imageSize: Int
    let patchSize: Int
    let interpolation: Interpolation
    let rows: [Int]
    /// [rows,P,3]
    let values: [Float]

    enum CodingKeys: String, CodingKey {
        case imageSize = "image_size"
        case patchSize = "patch_size"
        case interpolation, rows, values
    }
}

private struct Golden: Decodable {
    let resize: [GoldenResize]
}

@Test func glancesAreThoseOfPython() throws {
    var largest: Float = 0
    for golden in try Fixtures.decode(Golden.self, "geometry.json").resize {
        let resize = GlanceResize(
            imageSize: golden.imageSize, patchSize: golden.patchSize, interpolation: golden.interpolation)
        let glance = try resize(Fixtures.picture(side: golden.imageSize))
        let side = golden.patchSize
        try #require(golden.values.count == 3 * side * golden.rows.count)
        for (index, row) in golden.rows.enumerated() {
            for column in 0..<side {
                for channel in 0..<3 {
                    let value = glance.values[channel * side * side + row * side + column]
                    largest = max(largest, abs(value - golden.values[3 * (side * index + column) + channel]))
                }
            }
        }
    }
    #expect(largest < tolerance)
}

@Test func aGlanceOfEqualSizeIsTheSquareItself() throws {
    let square = Fixtures.picture(side: 9)
    let glance = try GlanceResize(imageSize: 9, patchSize: 9, interpolation: .bicubic)(square)
    #expect(glance.rounded() == square)
}

@Test func aSquareOfAnotherSizeIsRefused() {
    let resize = GlanceResize(imageSize: 10, patchSize: 5, interpolation: .bilinear)
    #expect(throws: GeometryError.wrongSide(9, expected: 10)) { try resize(Fixtures.picture(side: 9)) }
}

@Test func roundingGoesToEvenAndClips() {
    let planes = Planes(side: 2, values: [0.5, 1.5, 2.5, -3, 300, 254.5, 255.5, 7, 8, 9, 10, 11])
    #expect(planes.rounded().bytes == [0, 255, 8, 2, 254, 9, 2, 255, 10, 0, 7, 11])
}

@Test func aPatchHasThePixelsAtItsOrigin() throws {
    let square = Fixtures.picture(side: 30)
    for origin in [Origin(row: 0, column: 0), Origin(row: 20, column: 20), Origin(row: 3, column: 17)] {
        let patch = try PatchView(of: square, at: origin, side: 10)
        let (planes, pixels) = (patch.planes(), patch.pixels())
        for row in 0..<10 {
            for column in 0..<10 {
                for channel in 0..<3 {
                    let wanted = Fixtures.pixel(origin.row + row, origin.column + column, channel)
                    #expect(planes.values[channel * 100 + row * 10 + column] == Float(wanted))
                    #expect(pixels.bytes[30 * row + 3 * column + channel] == wanted)
                    #expect(
                        patch.withUnsafeBufferPointer { $0[row * patch.rowStride + 3 * column + channel] } == wanted)
                }
            }
        }
    }
}

@Test func aPatchLiesInItsSquaresOwnMemory() throws {
    let square = Fixtures.picture(side: 30)
    let patch = try PatchView(of: square, at: Origin(row: 2, column: 5), side: 10)
    let whole = square.bytes.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) }
    let (start, count) = patch.withUnsafeBufferPointer { (UInt(bitPattern: $0.baseAddress), $0.count) }
    #expect(start == whole + 2 * 90 + 15)
    #expect(count == 9 * 90 + 30)
}

@Test(arguments: [(-1, 0), (0, -1), (21, 0), (0, 21), (Int.max, 0), (Int.min, Int.min)])
func aPatchOutsideItsSquareIsRefused(row: Int, column: Int) {
    let origin = Origin(row: row, column: column)
    #expect(throws: GeometryError.patchOutside(origin, side: 10, imageSize: 30)) {
        try PatchView(of: Fixtures.picture(side: 30), at: origin, side: 10)
    }
}

@Test func anImageSmallerThanThePatchIsRefused() {
    #expect(throws: GeometryError.self) {
        try PatchView(of: Fixtures.picture(side: 9), at: Origin(row: 0, column: 0), side: 10)
    }
}
