/// Why a text is no JSON.
struct JSONError: Error, CustomStringConvertible {
    let reason: String
    /// Byte offset at which reading stopped.
    let offset: Int

    var description: String { "\(reason) at byte \(offset)" }
}

/// Reads the JSON that Python's two readers both accept: RFC 8259 and the words `NaN`, `Infinity` and `-Infinity`.
struct JSONParser {
    /// Lists and objects inside one another.
    static let deepest = 201
    /// Of the digits before a point.
    static let mostDigits = 4300

    private let bytes: [UInt8]
    private var position = 0
    private var depth = 0

    /// - Throws: ``JSONError``.
    static func parse(_ bytes: [UInt8]) throws -> JSONValue {
        // What is no UTF-8 is repaired here, and thereby changed.
        guard String(decoding: bytes, as: UTF8.self).utf8.elementsEqual(bytes) else {
            throw JSONError(reason: "not UTF-8", offset: 0)
        }
        var parser = JSONParser(bytes)
        parser.skipSpace()
        let value = try parser.value()
        parser.skipSpace()
        guard parser.position == bytes.count else { throw parser.error("more behind the value") }
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
        if skip(word: "NaN") { return .real(.nan) }
        if skip(word: "Infinity") { return .real(.infinity) }
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
        if skip(UInt8(ascii: "}")) { return .object(members) }
        while true {
            guard next == UInt8(ascii: "\"") else { throw error("no name of a member") }
            let name = try string()
            skipSpace()
            guard skip(UInt8(ascii: ":")) else { throw error("no colon behind a member's name") }
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
        if skip(UInt8(ascii: "-")), skip(word: "Infinity") { return .real(-.infinity) }
        let leadingZero = next == UInt8(ascii: "0")
        let count = digits()
        guard count > 0, !leadingZero || count == 1 else { throw error("no number") }
        guard count <= Self.mostDigits else { throw error("a number of more than \(Self.mostDigits) digits") }
        var isIntegral = true
        if skip(UInt8(ascii: ".")) {
            isIntegral = false
            guard digits() > 0 else { throw error("no digits behind a point") }
        }
        if skip(UInt8(ascii: "e")) || skip(UInt8(ascii: "E")) {
            isIntegral = false
            if !skip(UInt8(ascii: "+")) { _ = skip(UInt8(ascii: "-")) }
            guard digits() > 0 else { throw error("no digits in an exponent") }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isIntegral, let integer = Int(text) { return .integer(integer) }
        guard let real = Double(text) else { throw error("no number") }
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
