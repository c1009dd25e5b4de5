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

private func preprocessing(_ imageSize: Int, _ resizeSize: Int) throws -> Preprocessing {
    let text = """
        {"image_size": \(imageSize), "resize_size": \(resizeSize), "interpolation": "bicubic",
        "glance_interpolation": "bicubic", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
        """
    return try JSONDecoder().decode(Preprocessing.self, from: Data(text.utf8))
}

@Test func aPhotosSquareLiesWherePythonCutsIt() throws {
    // As gfnet.images.Preprocessing has it: 53 x 40 of 120 x 90, and (53 - 40) / 2 rounded to the even number.
    let wide = CentreSquare(width: 120, height: 90, try preprocessing(40, 40))
    #expect(wide.left == 6 && wide.top == 0)
    #expect(wide.canvas == CGRect(x: -6, y: 0, width: 53, height: 40))
    let tall = CentreSquare(width: 3000, height: 4000, try preprocessing(224, 256))
    #expect(tall.left == 16 && tall.top == 58)
    // Rows are counted from below on a canvas: 58 rows above it are cut off, 59 below.
    #expect(tall.canvas == CGRect(x: -16, y: -59, width: 256, height: 341))
}

@Test func aBudgetSliderEndsInAllStepsAndBeginsAtTheMostAccurate() throws {
    let manifest = try Fixtures.manifest()
    let scale = BudgetScale(manifest)
    #expect(scale.last == manifest.budgets.count)
    #expect(scale.thresholds(at: scale.last) == nil)
    #expect(scale.thresholds(at: scale.usual) == manifest.mostAccuratePoint?.thresholds)
    #expect(scale.title(at: scale.last) == "all steps")
    #expect(scale.title(at: 0).contains("M multiply-adds"))
}

@Test func aStepIsToldAsLabelAndConfidence() throws {
    let manifest = try Fixtures.manifest()
    let caption = StepCaption(step(2, Origin(row: 0, column: 0)), manifest)
    #expect(caption.title == "Patch 1" && caption.time == "4.2 ms")
    #expect(caption.answer == "\(manifest.label(1)), 73 %")
    let trace = Trace(image: "a", steps: [step(1, nil)])
    #expect(StepCaption.ending(trace, of: 3) == "Stopped after step 1 of 3: sure enough")
    #expect(StepCaption.ending(trace, of: 1) == "Took all 1 steps")
}
