/// A result file that cannot be used, and what to do about it; one line.
public struct ResultError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}
