import Foundation

#if canImport(CryptoKit)
    import CryptoKit
#endif

/// A file's SHA-256, 64 hexadecimal digits; read in pieces, however large it is.
func fileSHA256(_ file: URL) throws -> String {
    let handle = try FileHandle(forReadingFrom: file)
    defer { try? handle.close() }
    #if canImport(CryptoKit)
        var digest = SHA256()
        while let piece = try handle.read(upToCount: pieceBytes), !piece.isEmpty { digest.update(data: piece) }
    #else
        var digest = PlainSHA256()
        while let piece = try handle.read(upToCount: pieceBytes), !piece.isEmpty { digest.update(piece) }
    #endif
    return hexadecimal(digest.finalize())
}

/// The SHA-256 of a text that tells its digest itself: `told` counts as zeros wherever it stands in it.
func ownSHA256(_ text: [UInt8], told: String) -> String {
    let digits = Array(told.utf8)
    var zeroed = text
    var at = 0
    while !digits.isEmpty, at + digits.count <= zeroed.count {
        if zeroed[at] == digits[0], zeroed[at..<at + digits.count].elementsEqual(digits) {
            zeroed.replaceSubrange(at..<at + digits.count, with: repeatElement(UInt8(ascii: "0"), count: digits.count))
            at += digits.count
        } else {
            at += 1
        }
    }
    #if canImport(CryptoKit)
        return hexadecimal(SHA256.hash(data: zeroed))
    #else
        var digest = PlainSHA256()
        digest.update(zeroed)
        return hexadecimal(digest.finalize())
    #endif
}

private func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { byte in
        let digits = String(byte, radix: 16)
        return digits.count < 2 ? "0" + digits : digits
    }.joined()
}

private let pieceBytes = 1 << 20
