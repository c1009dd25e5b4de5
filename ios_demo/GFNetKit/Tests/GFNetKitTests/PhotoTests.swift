import Testing

@testable import GFNetKit

private struct GoldenSize: Decodable {
    let width: Int
    let height: Int
    let accepted: Bool
}

private struct Golden: Decodable {
    let suffixes: [String]
    let sizes: [GoldenSize]
}

@Test func photosAreReadOrRefusedByTheirSizeAsInPython() throws {
    let sizes = try Fixtures.decode(Golden.self, "photos.json").sizes
    #expect(Set(sizes.map(\.accepted)) == [true, false])
    for size in sizes {
        let accepted = (try? PhotoRules.check(width: size.width, height: size.height, name: "photo")) != nil
        #expect(accepted == size.accepted, "\(size.width) x \(size.height)")
    }
}

@Test(arguments: [(Int.max, Int.max), (-1, 5), (5, Int.min)])
func sizesThatNoPhotoHasAreRefused(width: Int, height: Int) {
    #expect(throws: PhotoError.self) { try PhotoRules.check(width: width, height: height, name: "photo") }
}

@Test func photosOfTheSameFormatsAreFoundAsInPython() throws {
    #expect(PhotoRules.suffixes == Set(try Fixtures.decode(Golden.self, "photos.json").suffixes))
}
