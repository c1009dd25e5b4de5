import Testing

@testable import GFNetKit

private func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
    try Value(from: StrictDecoder(JSONParser.parse(Array(text.utf8))))
}

@Test func numbersAreWhatTheyAreWrittenAs() throws {
    #expect(try decode([Int].self, "[0, -0, 12, -9223372036854775808]") == [0, 0, 12, .min])
    #expect(try decode([Double].self, "[1, 1.5, 1e2, -0.0, 1E-400, 123456789012345678901]").prefix(3) == [1, 1.5, 100])
    for text in ["[1.0]", "[1e0]", "[true]", "[\"1\"]", "[9223372036854775808]", "[null]"] {
        #expect(throws: DecodingError.self, "\(text)") { try decode([Int].self, text) }
    }
}

@Test(arguments: [
    "", " ", "[", "[1", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "[01]", "[1.]", "[.5]", "[+1]",
    "[1e]",
    "[-]", "[NaN]", "[Infinity]", "[-Infinity]", "{\"a\":1,\"a\":1}", "{\"a\":1,\"\\u0061\":1}", "[1] 2", "nul",
    "\u{FEFF}[1]", "[\"\u{1}\"]", "[\"a", "[\"\\x\"]", "[\"\\u12\"]", "[\"\\ud800\"]",
    "[\"\\udc00\\ud800\"]", "[\"\\ud800\\u0041\"]", "['a']", "[1 2]", "// no\n[1]",
])
func whatIsNoJSONIsRefused(text: String) {
    #expect(throws: JSONError.self) { try JSONParser.parse(Array(text.utf8)) }
}

@Test func whatIsNoUTF8IsRefused() {
    for bytes: [UInt8] in [
        [0x22, 0xFF, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xC0, 0xAF, 0x22], [0x22, 0xE2, 0x82],
    ] {
        #expect(throws: JSONError.self) { try JSONParser.parse(bytes) }
    }
}

@Test func escapesAreResolved() throws {
    let text = #"["\"\\\/\b\f\n\r\t", "\u00e9\ud83d\ude00\u0000", "é"]"#
    #expect(try decode([String].self, text) == ["\"\\/\u{8}\u{C}\n\r\t", "é😀\0", "é"])
}

@Test func depthIsBounded() throws {
    func nested(_ depth: Int) -> [UInt8] {
        Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
    }
    _ = try JSONParser.parse(nested(JSONParser.deepest))
    #expect(throws: JSONError.self) { try JSONParser.parse(nested(JSONParser.deepest + 1)) }
    #expect(throws: JSONError.self) { try JSONParser.parse(nested(1_000_000)) }
}

private struct Small: Decodable {
    let a: Int
}

@Test func membersThatATypeDoesNotHaveAreRefusedUnlessAllowed() throws {
    let value = try JSONParser.parse(Array(#"{"a": 1, "b": 2}"#.utf8))
    #expect(throws: DecodingError.self) { try Small(from: StrictDecoder(value)) }
    #expect(try Small(from: StrictDecoder(value, allowsUnknown: true)).a == 1)
}

@Test func namesThatOnlyLookAlikeAreTwo() throws {
    let value = try JSONParser.parse(Array("{\"\u{E9}\": 1, \"e\u{301}\": 2}".utf8))
    guard case .integer(let composed)? = value.member("\u{E9}") else {
        Issue.record("no member")
        return
    }
    #expect(composed == 1)
}
