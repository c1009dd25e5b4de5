// Why not Foundation's `JSONDecoder`: a bundle is refused here if and only if Python's reader refuses it, which
// `tests/ios_demo/test_manifest_verdicts.py` checks on thousands of altered manifests with right digests.  A digest shows
// that a file arrived as it was written, not that it was written by an exporter.  Foundation's decoder was tried for this
// and differs (swift-foundation of Swift 6.3; Apple's differs from it again):
//
// - it takes `3.0` and `4e1` for integers, and a comma before the end of an object;
// - it takes one of two members with one name, and of two names that differ only in how a letter is composed;
// - it does not look at values that no field asks for: `[1.2.3]`, `01` or an integer of 5,000 digits pass there;
// - it reads UTF-16 and a byte order mark, nests to 512 levels where Python stops at 201, and refuses `1e-999`.
//
// To find these out before it decodes, a check would have to read every token, as this parser does.

/// Why a text is not JSON.
struct JSONError: Error, CustomStringConvertible {
    let reason: String
    /// Byte offset at which reading stopped.
    let offset: Int

    var description: String { "\(reason) at byte \(offset)" }
}

/// Reads the JSON that Python's readers accept: RFC 8259 in UTF-8, every name of an object once.
struct JSONParser {
    /// Lists and objects inside one another.
    static let deepest = 201
    /// The digits before a point.
    static let mostDigits = 4300

    private let bytes: [UInt8]
    private var position = 0
    private var depth = 0

    /// - Throws: ``JSONError``.
    static func parse(_ bytes: [UInt8]) throws -> JSONValue {
        // Decoding repairs what is not UTF-8, and so changes it.
        guard String(decoding: bytes, as: UTF8.self).utf8.elementsEqual(bytes) else {
            throw JSONError(reason: "not UTF-8", offset: 0)
        }
        var parser = JSONParser(bytes)
        parser.skipSpace()
        let value = try parser.value()
        parser.skipSpace()
        guard parser.position == bytes.count else { throw parser.error("more text after the value") }
        return value
    }

    private init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    private func error(_ reason: String) -> JSONError {
        JSONError(reason: reason, offset: position)
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func skip(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position += 1
        return true
    }

    private mutating func skip(word: StaticString) -> Bool {
        let count = word.utf8CodeUnitCount
        guard position + count <= bytes.count else { return false }
        for index in 0..<count where bytes[position + index] != word.utf8Start[index] { return false }
        position += count
        return true
    }

    private mutating func value() throws -> JSONValue {
        switch next {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "-"), .some(UInt8(ascii: "0")...UInt8(ascii: "9")): return try number()
        default: break
        }
        if skip(word: "null") { return .null }
        if skip(word: "true") { return .bool(true) }
        if skip(word: "false") { return .bool(false) }
        throw error("no value")
    }

    private mutating func enter() throws {
        position += 1
        depth += 1
        guard depth <= Self.deepest else { throw error("too many lists and objects inside one another") }
        skipSpace()
    }

    private mutating func array() throws -> JSONValue {
        try enter()
        defer { depth -= 1 }
        var values: [JSONValue] = []
        if skip(UInt8(ascii: "]")) { return .array(values) }
        while true {
            values.append(try value())
            skipSpace()
            if skip(UInt8(ascii: "]")) { return .array(values) }
            guard skip(UInt8(ascii: ",")) else { throw error("no comma and no end of a list") }
            skipSpace()
        }
    }

    private mutating func object() throws -> JSONValue {
        try enter()
        defer { depth -= 1 }
        var members: [JSONValue.Member] = []
        var names: Set<[UInt8]> = []
        if skip(UInt8(ascii: "}")) { return .object(members) }
        while true {
            guard next == UInt8(ascii: "\"") else { throw error("no name for a member") }
            let name = try string()
            guard names.insert(Array(name.utf8)).inserted else { throw error("a name twice in one object") }
            skipSpace()
            guard skip(UInt8(ascii: ":")) else { throw error("no colon after a member's name") }
            skipSpace()
            members.append(JSONValue.Member(name: name, value: try value()))
            skipSpace()
            if skip(UInt8(ascii: "}")) { return .object(members) }
            guard skip(UInt8(ascii: ",")) else { throw error("no comma and no end of an object") }
            skipSpace()
        }
    }

    private mutating func digits() -> Int {
        let start = position
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        return position - start
    }

    private mutating func number() throws -> JSONValue {
        let start = position
        _ = skip(UInt8(ascii: "-"))
        let leadingZero = next == UInt8(ascii: "0")
        let count = digits()
        guard count > 0, !leadingZero || count == 1 else { throw error("not a number") }
        guard count <= Self.mostDigits else { throw error("a number of more than \(Self.mostDigits) digits") }
        var isIntegral = true
        if skip(UInt8(ascii: ".")) {
            isIntegral = false
            guard digits() > 0 else { throw error("no digits after a point") }
        }
        if skip(UInt8(ascii: "e")) || skip(UInt8(ascii: "E")) {
            isIntegral = false
            if !skip(UInt8(ascii: "+")) { _ = skip(UInt8(ascii: "-")) }
            guard digits() > 0 else { throw error("no digits in an exponent") }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isIntegral, let integer = Int(text) { return .integer(integer) }
        guard let real = Double(text) else { throw error("not a number") }
        return .real(real)
    }

    private mutating func string() throws -> String {
        position += 1
        var start = position
        var spelled: [UInt8] = []
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                spelled += bytes[start..<position]
                position += 1
                return String(decoding: spelled, as: UTF8.self)
            case UInt8(ascii: "\\"):
                spelled += bytes[start..<position]
                position += 1
                spelled += try escaped().utf8
                start = position
            case 0..<0x20:
                throw error("a control character inside a string")
            default:
                position += 1
            }
        }
        throw error("a string without an end")
    }

    private mutating func escaped() throws -> String {
        guard let byte = next else { throw error("a string without an end") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return String(UnicodeScalar(byte))
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let first = try hexadecimal()
            if let scalar = Unicode.Scalar(first) { return String(scalar) }
            guard first < 0xDC00, skip(word: "\\u") else { throw error("half of a pair of surrogates") }
            let second = try hexadecimal()
            guard (0xDC00...0xDFFF).contains(second),
                let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
            else { throw error("half of a pair of surrogates") }
            return String(scalar)
        default: throw error("an unknown escape")
        }
    }

    private mutating func hexadecimal() throws -> UInt32 {
        var number: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(UnicodeScalar(byte)).hexDigitValue else {
                throw error("no four hexadecimal digits")
            }
            number = number << 4 + UInt32(digit)
            position += 1
        }
        return number
    }
}

/// A JSON text as it was written: integers apart from other numbers, an object's members in their order.
enum JSONValue: Sendable {
    case null
    case bool(Bool)
    /// A number written without fraction and exponent that an `Int` can hold.
    case integer(Int)
    /// Any other number; infinite where it is too large.
    case real(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])

    struct Member: Sendable {
        let name: String
        let value: JSONValue
    }

    /// The value of the member of an object with this name.
    func member(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name.isSpelled(name) }?.value
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
    /// Whether both are the same code points.  To `==`, two ways to compose one letter are equal too; to other readers
    /// of JSON they are two names.
    func isSpelled(_ other: String) -> Bool {
        utf8.elementsEqual(other.utf8)
    }
}
