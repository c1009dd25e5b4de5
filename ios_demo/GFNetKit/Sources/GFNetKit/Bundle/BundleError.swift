import Foundation

/// A bundle is missing, incomplete, altered or of another version.
public struct BundleError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    /// The file or folder in question.
    public let path: String
    /// What it should have been, or what it is instead.
    public let expectation: String
    /// What to do.
    public let remedy: String

    public init(path: String, expectation: String, remedy: String) {
        self.path = path
        self.expectation = expectation
        self.remedy = remedy
    }

    /// One line.
    public var description: String { "\(path.oneLine): \(expectation.oneLine); \(remedy)" }
    public var errorDescription: String? { description }
}
