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
    return digest.finalize().map { byte in
        let digits = String(byte, radix: 16)
        return digits.count < 2 ? "0" + digits : digits
    }.joined()
}

private let pieceBytes = 1 << 20
