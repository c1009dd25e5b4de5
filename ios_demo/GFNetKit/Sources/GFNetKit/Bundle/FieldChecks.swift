/// What a manifest may hold at most, as Python's reader has it: far beyond any network, and small enough that a reader
/// that believes a manifest allocates little.
enum Limits {
    static let manifestBytes = 4 * 1024 * 1024
    /// Besides the labels.
    static let values = 20_000
    static let classes = 100_000
    static let steps = 64
    static let count = 2_147_483_647
    static let elements = 1 << 28
    static let imageSize = 4096
    /// Of the photo's shorter side to the square's.
    static let resize = 4
    static let budgets = 500
    static let subgraphs = 256
    static let tensors = 8
    static let dimensions = 8
    static let files = 64
    static let libraries = 64
    static let floatLayers = 10_000
    static let text = 300
    static let architecture = 200
    static let label = 1000
    static let path = 500
    /// Bytes that a file system takes for one name.
    static let name = 255
}

/// Two parts of a manifest that contradict one another.
struct Contradiction: Error {
    let reason: String
}

extension Decoder {
    /// Turns a ``Contradiction`` into an error that says where.
    func consistent(_ check: () throws -> Void) throws {
        do {
            try check()
        } catch let contradiction as Contradiction {
            throw DecodingError.dataCorrupted(
                .init(codingPath: codingPath, debugDescription: contradiction.reason))
        }
    }
}

extension KeyedDecodingContainer {
    func problem(_ key: Key, _ reason: String) -> DecodingError {
        .dataCorruptedError(forKey: key, in: self, debugDescription: reason)
    }

    /// A value that may be left out, but not be `null`.
    func decode<Value: Decodable>(_ key: Key, default standard: Value) throws -> Value {
        contains(key) ? try decode(Value.self, forKey: key) : standard
    }

    /// A value that may be `null`, but not be left out.
    func decodeNullable<Value: Decodable>(_ key: Key) throws -> Value? {
        try decodeNil(forKey: key) ? nil : decode(Value.self, forKey: key)
    }

    func integer(_ key: Key, in range: ClosedRange<Int>) throws -> Int {
        let value = try decode(Int.self, forKey: key)
        guard range.contains(value) else {
            throw problem(key, "must be \(range.lowerBound) ... \(range.upperBound), not \(value)")
        }
        return value
    }

    /// A finite number.
    func number(_ key: Key, from least: Double = -.infinity, to most: Double = .infinity) throws -> Double {
        let value = try decode(Double.self, forKey: key)
        try check(value, key, from: least, to: most)
        return value
    }

    func numbers(
        _ key: Key, atMost count: Int, from least: Double = -.infinity, to most: Double = .infinity
    ) throws -> [Double] {
        let values: [Double] = try list(key, 0...count)
        for value in values { try check(value, key, from: least, to: most) }
        return values
    }

    private func check(_ value: Double, _ key: Key, from least: Double, to most: Double) throws {
        guard value.isFinite, least <= value, value <= most else {
            throw problem(key, "must be finite and from \(least) to \(most), not \(value)")
        }
    }

    func list<Value: Decodable>(_ key: Key, _ count: ClosedRange<Int>) throws -> [Value] {
        let values = try decode([Value].self, forKey: key)
        guard count.contains(values.count) else {
            throw problem(key, "must be \(count.lowerBound) ... \(count.upperBound) values, not \(values.count)")
        }
        return values
    }

    func integers(_ key: Key, _ count: ClosedRange<Int>, in range: ClosedRange<Int>) throws -> [Int] {
        let values: [Int] = try list(key, count)
        for value in values where !range.contains(value) {
            throw problem(key, "must be \(range.lowerBound) ... \(range.upperBound), not \(value)")
        }
        return values
    }

    /// One line of text.
    func text(_ key: Key, atMost most: Int = Limits.text) throws -> String {
        let value = try decode(String.self, forKey: key)
        guard value.isText, value.unicodeScalars.count <= most else {
            throw problem(key, "must be one line of 1 ... \(most) characters")
        }
        return value
    }

    /// A digest that may be left out, or be `null`.
    func digest(_ key: Key) throws -> String? {
        guard contains(key), try !decodeNil(forKey: key) else { return nil }
        let value = try decode(String.self, forKey: key)
        guard value.isSHA256 else { throw problem(key, "must be 64 hexadecimal digits") }
        return value
    }

    /// Names and what belongs to them.
    ///
    /// - Throws: also for two names that differ only in how a letter is composed: to the file systems and dictionaries
    ///   of these platforms they are one.
    func table(
        _ key: Key, _ count: ClosedRange<Int>, name isName: (String) -> Bool, value isValue: (String) -> Bool
    ) throws -> [String: String] {
        let members = try nestedContainer(keyedBy: NameKey.self, forKey: key)
        var table: [String: String] = [:]
        for member in members.allKeys {
            let value = try members.decode(String.self, forKey: member)
            guard isName(member.stringValue), isValue(value) else {
                throw members.problem(member, "is not a name and a value of the right form")
            }
            table[member.stringValue] = value
        }
        let found = members.allKeys.count
        guard count.contains(found) else {
            throw problem(key, "must be \(count.lowerBound) ... \(count.upperBound) values, not \(found)")
        }
        guard found == table.count else { throw problem(key, "has two names that are one") }
        return table
    }
}

extension String {
    /// Whether it is one line of 1 to 300 characters without control characters.
    var isText: Bool {
        (1...Limits.text).contains(unicodeScalars.count)
            && unicodeScalars.allSatisfy { $0.value >= 0x20 && $0 != "\u{7F}" }
    }

    var isSHA256: Bool {
        utf8.count == 64
            && utf8.allSatisfy { (0x30...0x39).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0) }
    }

    /// Whether nothing in it is invisible or without a meaning, as Python's `str.isprintable` has it.  The two may
    /// know different releases of Unicode: a letter that is younger than one of them is without a meaning to it.
    var isPrintable: Bool { unicodeScalars.allSatisfy(\.isPrintable) }

    /// Fit to be shown: printable, on one line, not too long.
    var oneLine: String {
        let scalars = unicodeScalars
        let shown = scalars.prefix(300).map { $0.isPrintable ? String($0) : "\\u{\(String($0.value, radix: 16))}" }
        return shown.joined() + (scalars.count > 300 ? " ..." : "")
    }
}

extension Unicode.Scalar {
    fileprivate var isPrintable: Bool {
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        case .spaceSeparator: self == " "
        default: true
        }
    }
}
