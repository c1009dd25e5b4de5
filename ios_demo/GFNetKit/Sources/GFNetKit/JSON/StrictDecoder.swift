/// Decodes what ``JSONParser`` read, and nothing that only resembles it: no `3.0` for an integer, no `1` for `true`.
struct StrictDecoder: Decoder {
    let value: JSONValue
    /// Whether an object may have members that its type does not have.
    let allowsUnknown: Bool
    let codingPath: [any CodingKey]
    let userInfo: [CodingUserInfoKey: Any] = [:]

    init(_ value: JSONValue, allowsUnknown: Bool = false, codingPath: [any CodingKey] = []) {
        self.value = value
        self.allowsUnknown = allowsUnknown
        self.codingPath = codingPath
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let members) = value else { throw mismatch([String: String].self, "an object") }
        for member in members where !allowsUnknown && Key(stringValue: member.name)?.isSpelled(member.name) != true {
            throw DecodingError.dataCorrupted(
                .init(codingPath: codingPath + [NameKey(member.name)], debugDescription: "is unknown to this release"))
        }
        return KeyedDecodingContainer(StrictObject<Key>(members: members, decoder: self))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let values) = value else { throw mismatch([String].self, "a list") }
        return StrictList(values: values, decoder: self)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { StrictValue(decoder: self) }

    func mismatch(_ type: Any.Type, _ wanted: String) -> DecodingError {
        .typeMismatch(type, .init(codingPath: codingPath, debugDescription: "must be \(wanted), not \(value.kind)"))
    }

    /// For a value inside of this one.
    func inner(_ value: JSONValue, _ key: any CodingKey) -> StrictDecoder {
        StrictDecoder(value, allowsUnknown: allowsUnknown, codingPath: codingPath + [key])
    }
}

/// The name of any member of an object, or a place in a list.
struct NameKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(_ name: String) {
        stringValue = name
        intValue = nil
    }

    init(stringValue: String) {
        self.init(stringValue)
    }

    init(intValue: Int) {
        stringValue = String(intValue)
        self.intValue = intValue
    }
}

extension CodingKey {
    /// Whether it is this name, code point by code point.
    func isSpelled(_ name: String) -> Bool { stringValue.isSpelled(name) }
}

extension DecodingError {
    /// Where in a file, which is called `file`, and what is wrong.
    func placeAndReason(_ file: String) -> String {
        let (context, key): (Context, (any CodingKey)?) =
            switch self {
            case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
                (context, nil)
            case .keyNotFound(let key, let context): (context, key)
            @unknown default: (Context(codingPath: [], debugDescription: "cannot be decoded"), nil)
            }
        let path = (context.codingPath + (key.map { [$0] } ?? [])).map(\.stringValue).joined(separator: ".")
        return "\(path.isEmpty ? file : path): \(context.debugDescription)"
    }
}

/// The value at one place.
private struct StrictValue: SingleValueDecodingContainer {
    let decoder: StrictDecoder
    var codingPath: [any CodingKey] { decoder.codingPath }

    func decodeNil() -> Bool {
        if case .null = decoder.value { true } else { false }
    }

    func decode(_ type: Bool.Type) throws -> Bool {
        guard case .bool(let value) = decoder.value else { throw decoder.mismatch(type, "a truth value") }
        return value
    }

    func decode(_ type: String.Type) throws -> String {
        guard case .string(let value) = decoder.value else { throw decoder.mismatch(type, "a string") }
        return value
    }

    func decode(_ type: Double.Type) throws -> Double {
        switch decoder.value {
        case .integer(let value): return Double(value)
        case .real(let value): return value
        default: throw decoder.mismatch(type, "a number")
        }
    }

    func decode(_ type: Float.Type) throws -> Float { Float(try decode(Double.self)) }

    func decode<Value: FixedWidthInteger & Decodable>(_ type: Value.Type) throws -> Value {
        guard case .integer(let value) = decoder.value, let exact = Value(exactly: value) else {
            throw decoder.mismatch(type, "an integer")
        }
        return exact
    }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try Value(from: decoder) }
}

/// An object's members.
private struct StrictObject<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let members: [JSONValue.Member]
    let decoder: StrictDecoder

    var codingPath: [any CodingKey] { decoder.codingPath }
    var allKeys: [Key] { members.compactMap { Key(stringValue: $0.name) } }

    private func inner(_ key: any CodingKey) throws -> StrictDecoder {
        guard let value = decoder.value.member(key.stringValue) else {
            throw DecodingError.keyNotFound(key, .init(codingPath: codingPath, debugDescription: "is missing"))
        }
        return decoder.inner(value, key)
    }

    func contains(_ key: Key) -> Bool { decoder.value.member(key.stringValue) != nil }
    func decodeNil(forKey key: Key) throws -> Bool { try inner(key).singleValueContainer().decodeNil() }
    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try Value(from: inner(key))
    }

    func nestedContainer<Inner: CodingKey>(
        keyedBy type: Inner.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Inner> {
        try inner(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try inner(key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder { try inner(NameKey("super")) }
    func superDecoder(forKey key: Key) throws -> any Decoder { try inner(key) }
}

/// A list's values, one after another.
private struct StrictList: UnkeyedDecodingContainer {
    let values: [JSONValue]
    let decoder: StrictDecoder
    private(set) var currentIndex = 0

    init(values: [JSONValue], decoder: StrictDecoder) {
        self.values = values
        self.decoder = decoder
    }

    var codingPath: [any CodingKey] { decoder.codingPath }
    var count: Int? { values.count }
    var isAtEnd: Bool { currentIndex == values.count }

    /// Goes on to the next value, unless `body` throws.
    private mutating func next<Value>(_ body: (StrictDecoder) throws -> Value) throws -> Value {
        guard !isAtEnd else {
            throw DecodingError.valueNotFound(
                JSONValue.self, .init(codingPath: codingPath, debugDescription: "has too few values"))
        }
        let value = try body(decoder.inner(values[currentIndex], NameKey(intValue: currentIndex)))
        currentIndex += 1
        return value
    }

    mutating func decodeNil() throws -> Bool {
        guard !isAtEnd, case .null = values[currentIndex] else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try next { try Value(from: $0) } }

    mutating func nestedContainer<Inner: CodingKey>(
        keyedBy type: Inner.Type
    ) throws -> KeyedDecodingContainer<Inner> {
        try next { try $0.container(keyedBy: type) }
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try next { try $0.unkeyedContainer() }
    }

    mutating func superDecoder() throws -> any Decoder { try next { $0 } }
}
