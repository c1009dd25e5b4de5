/// Why a benchmark cannot begin; one line that says what to do.
public struct BenchmarkError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}
