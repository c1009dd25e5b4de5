import Foundation
import Testing

@testable import GFNetKit

private func step(_ number: Int, _ origin: Origin?) -> StepTrace {
    StepTrace(
        step: number, action: nil, origin: origin, logits: [0, 1], confidence: 0.731, classIndex: 1, seconds: 0.0042)
}

@Test func aPatchIsDrawnWhereItLies() throws {
    let frame = try #require(PatchFrame(step(2, Origin(row: 56, column: 112)), imageSize: 224, patchSize: 56))
    #expect(frame.rectangle(in: 400) == CGRect(x: 200, y: 100, width: 100, height: 100))
    #expect(PatchFrame(step(1, nil), imageSize: 224, patchSize: 56) == nil)
}

@Test func aChartsLargestValueStandsNearTheTopAndNoValueDividesByZero() {
    let line = ChartLine([1, 2], in: CGSize(width: 100, height: 50))
    #expect(line.points.map(\.x) == [0, 100])
    #expect(abs(line.points[0].y - 27.5) < 1e-9 && abs(line.points[1].y - 5) < 1e-9)
    #expect(ChartLine([], in: .zero).points.isEmpty)
    #expect(ChartLine([0], in: CGSize(width: 10, height: 10)).points == [CGPoint(x: 5, y: 10)])
}

@Test func anAppWithoutANetworkSaysHowToGetOne() {
    let error = #expect(throws: BundleError.self) {
        try InstalledNetwork.open(in: FileManager.default.temporaryDirectory.appendingPathComponent("nothing"))
    }
    #expect(error?.description.contains("make ios-bundle CKPT=") == true)
}
