/// Decodes what ``JSONParser`` read, and nothing that only resembles it: no `3.0` for an integer, no `1` for `true`.
///
/// Of two members with one name the last counts.  A container with ``NameKey`` keys has them all.
struct StrictDecoder: Decoder {
    let value: JSONValue
    let codingPath: [any CodingKey]
    let userInfo: [CodingUserInfoKey: Any] = [:]

    /// - Throws: ``JSONError``, or `DecodingError` with the path to the value that is wrong.
    static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        try Value(from: StrictDecoder(value: JSONParser.parse(bytes), codingPath: []))
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let members) = value else { throw mismatch([String: String].self, "an object") }
        return KeyedDecodingContainer(StrictObject<Key>(members: members, codingPath: codingPath))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let values) = value else { throw mismatch([String].self, "a list") }
        return StrictList(values: values, codingPath: codingPath)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer { StrictValue(decoder: self) }

    func mismatch(_ type: Any.Type, _ wanted: String) -> DecodingError {
        .typeMismatch(type, .init(codingPath: codingPath, debugDescription: "must be \(wanted), not \(value.kind)"))
    }
}

/// The scalar at one place.
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

    private func integer<Value: FixedWidthInteger>() throws -> Value {
        guard case .integer(let value) = decoder.value, let exact = Value(exactly: value) else {
            throw decoder.mismatch(Value.self, "an integer")
        }
        return exact
    }

    func decode(_ type: Int.Type) throws -> Int { try integer() }
    func decode(_ type: Int8.Type) throws -> Int8 { try integer() }
    func decode(_ type: Int16.Type) throws -> Int16 { try integer() }
    func decode(_ type: Int32.Type) throws -> Int32 { try integer() }
    func decode(_ type: Int64.Type) throws -> Int64 { try integer() }
    func decode(_ type: UInt.Type) throws -> UInt { try integer() }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try integer() }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try integer() }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try integer() }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try integer() }
    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try Value(from: decoder) }
}

/// An object's members.
private struct StrictObject<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let members: [JSONValue.Member]
    let codingPath: [any CodingKey]

    var allKeys: [Key] {
        members.enumerated().compactMap { position, member in
            NameKey(member.name, at: position) as? Key ?? Key(stringValue: member.name)
        }
    }

    private func value(_ key: any CodingKey) -> JSONValue? {
        if let position = (key as? NameKey)?.intValue { return members[position].value }
        return members.last { $0.name.isSpelled(key.stringValue) }?.value
    }

    private func decoder(_ key: any CodingKey) throws -> StrictDecoder {
        guard let value = value(key) else {
            throw DecodingError.keyNotFound(key, .init(codingPath: codingPath, debugDescription: "is missing"))
        }
        return StrictDecoder(value: value, codingPath: codingPath + [key])
    }

    private func scalar(_ key: Key) throws -> StrictValue { StrictValue(decoder: try decoder(key)) }

    func contains(_ key: Key) -> Bool { value(key) != nil }
    func decodeNil(forKey key: Key) throws -> Bool { try scalar(key).decodeNil() }
    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try scalar(key).decode(type) }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { try scalar(key).decode(type) }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try scalar(key).decode(type) }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try scalar(key).decode(type) }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try scalar(key).decode(type) }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try scalar(key).decode(type) }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try scalar(key).decode(type) }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try scalar(key).decode(type) }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try scalar(key).decode(type) }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try scalar(key).decode(type) }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try scalar(key).decode(type) }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try scalar(key).decode(type) }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try scalar(key).decode(type) }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try scalar(key).decode(type) }
    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try Value(from: decoder(key))
    }

    func nestedContainer<Inner: CodingKey>(
        keyedBy type: Inner.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Inner> {
        try decoder(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try decoder(key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder { try decoder(NameKey("super")) }
    func superDecoder(forKey key: Key) throws -> any Decoder { try decoder(key) }
}

/// A list's values, one after another.
private struct StrictList: UnkeyedDecodingContainer {
    let values: [JSONValue]
    let codingPath: [any CodingKey]
    var currentIndex = 0

    init(values: [JSONValue], codingPath: [any CodingKey]) {
        self.values = values
        self.codingPath = codingPath
    }

    var count: Int? { values.count }
    var isAtEnd: Bool { currentIndex == values.count }

    private var decoder: StrictDecoder {
        get throws {
            guard !isAtEnd else {
                throw DecodingError.valueNotFound(
                    JSONValue.self, .init(codingPath: codingPath, debugDescription: "has too few values"))
            }
            return StrictDecoder(
                value: values[currentIndex], codingPath: codingPath + [NameKey(intValue: currentIndex)])
        }
    }

    private mutating func scalar<Value>(_ decode: (StrictValue) throws -> Value) throws -> Value {
        let value = try decode(StrictValue(decoder: decoder))
        currentIndex += 1
        return value
    }

    mutating func decodeNil() throws -> Bool {
        guard try StrictValue(decoder: decoder).decodeNil() else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode(_ type: Bool.Type) throws -> Bool { try scalar { try $0.decode(type) } }
    mutating func decode(_ type: String.Type) throws -> String { try scalar { try $0.decode(type) } }
    mutating func decode(_ type: Double.Type) throws -> Double { try scalar { try $0.decode(type) } }
    mutating func decode(_ type: Float.Type) throws -> Float { try scalar { try $0.decode(type) } }
    mutating func decode(_ type: Int.Type) throws -> Int { try scalar { try $0.decode(type) } }
    mutating func decode(_ type: Int8.Type) throws -> Int8 { try scalar { try $0.decode(type) } }
    mutating func decode(_ type: Int16.Type) throws -> Int16 { try scalar { try $0.decode(type) } }
    mutating func decode(_ type: Int32.Type) throws -> Int32 { try scalar { try $0.decode(type) } }
    mutating func decode(_ type: Int64.Type) throws -> Int64 { try scalar { try $0.decode(type) } }
    mutating func decode(_ type: UInt.Type) throws -> UInt { try scalar { try $0.decode(type) } }
    mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try scalar { try $0.decode(type) } }
    mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try scalar { try $0.decode(type) } }
    mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try scalar { try $0.decode(type) } }
    mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try scalar { try $0.decode(type) } }
    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try scalar { try $0.decode(type) } }

    mutating func nestedContainer<Inner: CodingKey>(
        keyedBy type: Inner.Type
    ) throws -> KeyedDecodingContainer<Inner> {
        let container = try decoder.container(keyedBy: type)
        currentIndex += 1
        return container
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        let container = try decoder.unkeyedContainer()
        currentIndex += 1
        return container
    }

    mutating func superDecoder() throws -> any Decoder {
        let inner = try decoder
        currentIndex += 1
        return inner
    }
}
