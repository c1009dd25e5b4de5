import Testing

@testable import GFNetKit

@Test func anOriginIsFlooredInSinglePrecision() {
    #expect(Origin(Action(row: 0, column: 1), imageSize: 224, patchSize: 96) == Origin(row: 0, column: 128))
    #expect(Origin(Action(row: 0.5, column: 0.9999999), imageSize: 224, patchSize: 96) == Origin(row: 64, column: 127))
}
