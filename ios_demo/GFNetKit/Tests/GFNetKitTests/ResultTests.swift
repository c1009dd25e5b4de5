import Foundation
import Testing

@testable import GFNetKit

@Test func percentilesAreThoseOfNumpy() {
    // numpy.percentile([1, 2, 4, 8], (50, 90, 99))
    let values: [Double] = [1, 2, 4, 8]
    #expect(Statistics.percentile(ofSorted: values, 50) == 3)
    #expect(abs(Statistics.percentile(ofSorted: values, 90) - 6.8) < 1e-12)
    #expect(abs(Statistics.percentile(ofSorted: values, 99) - 7.88) < 1e-12)
    #expect(Statistics.percentile(ofSorted: [5], 99) == 5)
}

@Test func aTypicalTimeIsTheMeanOfTheImagesMedians() {
    #expect(Statistics.typical([[1, 10], [2, 20], [90, 30]]) == 11)
}

private func written(_ change: (inout BenchmarkResult) -> Void = { _ in }) async throws -> Data {
    let time = FakeClock()
    var result = try await Benchmark(
        FakeRunner(time: time), about: .fake, images: [FakeRunner.image(0)], plan: BenchmarkPlan(rounds: 2),
        monitor: FakeDevice(), clock: time.clock
    ).run()
    change(&result)
    return try ResultFile.encode(result)
}

@Test func aResultIsReadAsItWasWritten() async throws {
    let content = try await written()
    let result = try ResultFile.decode(content, path: "r.json")
    #expect(try ResultFile.encode(result) == content)
    #expect(String(decoding: content, as: UTF8.self).contains("\"thresholds\" : null"))
}

@Test func aResultThatContradictsItselfIsRefused() async throws {
    for change: (inout BenchmarkResult) -> Void in [
        { $0.rounds = 7 }, { $0.subjects = [] }, { $0.subjects.append($0.subjects[0]) }, { $0.created = "today" },
        { $0.subjects[0].stops.removeLast() }, { $0.subjects[0].loop.exitDistribution = [0, 0, 0.5] },
        { $0.subjects[0].loop.latency.samplesMs = [1] }, { $0.subjects[0].reference = "nothing" },
        { $0.machine.device = "two\nlines" },
    ] {
        let content = try await written(change)
        #expect(throws: ResultError.self) { try ResultFile.decode(content, path: "r.json") }
    }
}

@Test func otherVersionsAndUnknownFieldsAreRefusedByName() async throws {
    let text = String(decoding: try await written(), as: UTF8.self)
    let newer = text.replacingOccurrences(of: "\"schema_version\" : 2", with: "\"schema_version\" : 3")
    #expect(
        throws: ResultError(
            "r.json: a benchmark result of schema version 3, but this release reads 2; measure it again, or read it "
                + "with the release that wrote it")
    ) { try ResultFile.decode(Data(newer.utf8), path: "r.json") }
    let odd = text.replacingOccurrences(of: "\"machine\" : {", with: "\"machine\" : {\"colour\" : \"red\",")
    #expect(
        throws: ResultError(
            "r.json: not a sound benchmark result (machine.colour: is unknown to this release); measure it again")
    ) { try ResultFile.decode(Data(odd.utf8), path: "r.json") }
    for text in ["", "[]", "{}", "{\"schema_version\": 2}", "{\"schema_version\": 2.0}", text + "x"] {
        #expect(throws: ResultError.self) { try ResultFile.decode(Data(text.utf8), path: "r.json") }
    }
}

@Test func doubtsAreReadAsCodesAndAsSentences() async throws {
    let doubts = [Doubt(.throttled, ["state": "critical", "round": "1", "rounds": "9"]), Doubt(.lowPower)]
    let text = String(decoding: try await written { $0.unreliable = doubts }, as: UTF8.self)
    #expect(try ResultFile.decode(Data(text.utf8), path: "r.json").unreliable == doubts)
    func read(_ entry: String) throws -> [Doubt] {
        let start = try #require(text.range(of: "\"unreliable\" : [")).upperBound
        let end = try #require(text.range(of: "\n  ]", range: start..<text.endIndex)).lowerBound
        let changed = text.replacingCharacters(in: start..<end, with: entry)
        return try ResultFile.decode(Data(changed.utf8), path: "r.json").unreliable
    }
    #expect(try read("\"it rained\"").map(\.description) == ["it rained"])
    #expect(try read("{\"code\": \"low-power\"}") == [Doubt(.lowPower)])
    for wrong in [
        "{\"code\": \"rain\"}", "{\"code\": \"busy\"}", "{\"code\": \"low-power\", \"values\": {\"a\": \"1\"}}", "null",
        "7",
        "{\"values\": {}}", "{\"code\": \"low-power\", \"more\": 1}",
    ] {
        #expect(throws: ResultError.self, "\(wrong)") { try read(wrong) }
    }
}

@Test func codesAndSentencesAreThoseOfPython() throws {
    let root = (0..<5).reduce(URL(fileURLWithPath: #filePath)) { folder, _ in folder.deletingLastPathComponent() }
    let table = try JSONDecoder().decode(
        [String: String].self, from: Data(contentsOf: root.appendingPathComponent("gfnet/results/doubts.json")))
    #expect(table == Dictionary(uniqueKeysWithValues: Doubt.Code.allCases.map { ($0.rawValue, $0.sentence) }))
}

@Test func aResultIsWrittenWholeOrNotAtAll() async throws {
    let result = try ResultFile.decode(try await written(), path: "r.json")
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    #expect(throws: ResultError.self) { try ResultFile.write(result, to: folder.appendingPathComponent("r.json")) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try ResultFile.write(result, to: folder.appendingPathComponent("r.json"))
    #expect(try ResultFile.read(folder.appendingPathComponent("r.json")) == result)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["r.json"])
}
