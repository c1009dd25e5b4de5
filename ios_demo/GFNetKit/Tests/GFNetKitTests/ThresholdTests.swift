import Testing

@testable import GFNetKit

@Test func aBudgetTakesTheDearestPointWithinIt() throws {
    let manifest = try Fixtures.manifest()
    let points = manifest.budgets
    #expect(try manifest.point(within: points[0].budget) == points[0])
    #expect(try manifest.point(within: points[5].budget) == points[5])
    #expect(try manifest.point(within: (points[5].budget + points[6].budget) / 2) == points[5])
    let dearest = try #require(points.map(\.budget).max())
    #expect(try manifest.point(within: dearest * 1.0001).budget == dearest)
}

@Test func aBudgetThatCannotBeMetIsRefused() throws {
    let manifest = try Fixtures.manifest()
    for budget in [0, -1, 7e6, 1e12, .nan, .infinity] {
        let error = #expect(throws: BudgetError.self) { try manifest.thresholds(for: .budget(budget)) }
        #expect(try #require(error).description.contains("can spend from 7.564M to 17.93M"))
    }
}

@Test func givenThresholdsAreCompletedAndChecked() throws {
    let manifest = try Fixtures.manifest()
    #expect(try manifest.checked([0.8, 0.7]) == [0.8, 0.7, -1e8])
    #expect(try manifest.checked([0.8, 0.7, 3]) == [0.8, 0.7, -1e8])
    #expect(try manifest.checked([0, 1e9, .nan]) == [0, 1e9, -1e8])  // the last takes everyone, whatever it says
    for wrong in [[], [0.8], [0.8, 0.7, 0.6, 0.5], [-0.1, 0.5], [.nan, 0.5], [0.5, -.infinity]] {
        #expect(throws: BudgetError.self) { try manifest.checked(wrong) }
    }
}

@Test func allStepsHaveNoThresholds() throws {
    #expect(try Fixtures.manifest().thresholds(for: .allSteps) == nil)
}
