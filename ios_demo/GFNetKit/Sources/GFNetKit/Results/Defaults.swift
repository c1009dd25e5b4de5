/// A value that has an empty form, which a result file may leave out.
public protocol Emptiable {
    static var empty: Self { get }
}

extension Array: Emptiable {
    public static var empty: [Element] { [] }
}

extension Dictionary: Emptiable {
    public static var empty: [Key: Value] { [:] }
}

/// A field that a file may leave out, for which it then is empty; `null` is refused, as by Python's reader.
@propertyWrapper
public struct OrEmpty<Value: Codable & Sendable & Equatable & Emptiable>: Codable, Sendable, Equatable {
    public var wrappedValue: Value

    public init(wrappedValue: Value) {
        self.wrappedValue = wrappedValue
    }

    public init(from decoder: any Decoder) throws {
        wrappedValue = try decoder.singleValueContainer().decode(Value.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(wrappedValue)
    }
}

/// A field that a file must have, if only as `null`.
@propertyWrapper
public struct OrNull<Value: Codable & Sendable & Equatable>: Codable, Sendable, Equatable {
    public var wrappedValue: Value?

    public init(wrappedValue: Value?) {
        self.wrappedValue = wrappedValue
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        wrappedValue = container.decodeNil() ? nil : try container.decode(Value.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let wrappedValue {
            try container.encode(wrappedValue)
        } else {
            try container.encodeNil()
        }
    }
}

extension KeyedDecodingContainer {
    /// What the compiler's own `init(from:)` calls for such a field; the standard one would insist on the key.
    func decode<Value>(_ type: OrEmpty<Value>.Type, forKey key: Key) throws -> OrEmpty<Value> {
        contains(key) ? OrEmpty(wrappedValue: try decode(Value.self, forKey: key)) : OrEmpty(wrappedValue: .empty)
    }
}
