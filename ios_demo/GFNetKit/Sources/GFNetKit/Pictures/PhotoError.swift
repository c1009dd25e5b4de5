import Foundation

/// A photo that cannot be read; one line that says what to do.
public struct PhotoError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    public let description: String
    public var errorDescription: String? { description }

    public init(_ description: String) {
        self.description = description
    }
}
