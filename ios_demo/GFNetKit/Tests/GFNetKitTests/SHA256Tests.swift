import Testing

@testable import GFNetKit

#if canImport(CryptoKit)
    import CryptoKit
#endif

/// The examples of FIPS 180-4 and of NIST's test vectors, and the lengths around a block's end.
@Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    (
        "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
    ),
])
func theStandardsVectorsHold(message: String, expected: String) {
    #expect(hexadecimal(SHA256.hash(data: Array(message.utf8))) == expected)
}

@Test func aMillionLettersHoldInPiecesOfAnySize() {
    var sum = SHA256()
    var left = 1_000_000
    for size in (1...).lazy.map({ $0 * 37 % 1009 + 1 }) {
        let piece = min(size, left)
        sum.update(data: [UInt8](repeating: UInt8(ascii: "a"), count: piece))
        left -= piece
        if left == 0 { break }
    }
    #expect(hexadecimal(sum.finalize()) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
}

@Test func everyLengthAroundABlockIsPaddedRight() {
    // Digests of 'b' * n for n in 54 ... 66, digested together: from Python's hashlib.
    var all = SHA256()
    for count in 54...66 {
        all.update(
            data: Array(hexadecimal(SHA256.hash(data: [UInt8](repeating: UInt8(ascii: "b"), count: count))).utf8))
    }
    #expect(hexadecimal(all.finalize()) == "d92aaa4984c08e3471c237a1e17a6b3302fce3655be56f73fd32ad99bbfd80fa")
}
