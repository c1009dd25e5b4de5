/// A JSON text as it was written: integers apart from other numbers, objects with their order and their doubles.
///
/// Foundation's decoder takes `3.0` for an integer and, depending on the system's release, the first or the last of two
/// members with one name.  Whoever must come to the verdict of another reader has to see the difference.
enum JSONValue: Sendable {
    case null
    case bool(Bool)
    /// A number written without fraction and exponent that an `Int` can hold.
    case integer(Int)
    /// Any other number; possibly infinite or not a number.
    case real(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])

    struct Member: Sendable {
        let name: String
        let value: JSONValue
    }

    /// The value of the last member of an object with this name.
    func member(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.name.isSpelled(name) }?.value
    }

    /// What it is, for messages.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a truth value"
        case .integer: "an integer"
        case .real: "a number"
        case .string: "a string"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

extension String {
    /// Whether both are the same code points.  `==` also takes two spellings of one letter for equal, which are two
    /// names to every other reader.
    func isSpelled(_ other: String) -> Bool {
        utf8.elementsEqual(other.utf8)
    }
}
