import Foundation

#if canImport(CryptoKit)
    import CryptoKit
#endif

/// A file's SHA-256, 64 hexadecimal digits; read in pieces, however large it is.
func fileSHA256(_ file: URL) throws -> String {
    let handle = try FileHandle(forReadingFrom: file)
    defer { try? handle.close() }
    var digest = SHA256()
    while let piece = try handle.read(upToCount: pieceBytes), !piece.isEmpty { digest.update(data: piece) }
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
    return hexadecimal(SHA256.hash(data: zeroed))
}

func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { byte in
        let digits = String(byte, radix: 16)
        return digits.count < 2 ? "0" + digits : digits
    }.joined()
}

private let pieceBytes = 1 << 20

#if !canImport(CryptoKit)
    /// SHA-256 (FIPS 180-4) where there is no CryptoKit, so that the package needs no other one on Linux; the same calls.
    struct SHA256 {
        private static let blockBytes = 64
        private static let roots: [UInt32] = [
            0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
            0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
            0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
            0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
            0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
            0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
            0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
            0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
        ]

        private var state: [UInt32] = [
            0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
        ]
        private var words = [UInt32](repeating: 0, count: 64)
        private var waiting: [UInt8] = []
        private var length: UInt64 = 0

        /// More of the message.
        mutating func update(data bytes: some Collection<UInt8>) {
            length += UInt64(bytes.count)
            waiting += bytes
            let whole = waiting.count / Self.blockBytes * Self.blockBytes
            for start in stride(from: 0, to: whole, by: Self.blockBytes) { take(blockAt: start) }
            waiting.removeFirst(whole)
        }

        /// The digest of everything so far, 32 bytes.
        func finalize() -> [UInt8] {
            var last = self
            let zeros = (119 - Int(length % 64)) % 64
            last.update(data: [0x80] + [UInt8](repeating: 0, count: zeros))
            last.update(data: (0..<8).map { UInt8(truncatingIfNeeded: (length * 8) >> (56 - 8 * UInt64($0))) })
            return last.state.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * UInt32($0))) }
            }
        }

        static func hash(data: some Collection<UInt8>) -> [UInt8] {
            var digest = SHA256()
            digest.update(data: data)
            return digest.finalize()
        }

        private mutating func take(blockAt start: Int) {
            waiting.withUnsafeBufferPointer { bytes in
                for index in 0..<16 {
                    let at = start + 4 * index
                    words[index] =
                        UInt32(bytes[at]) << 24 | UInt32(bytes[at + 1]) << 16 | UInt32(bytes[at + 2]) << 8
                        | UInt32(bytes[at + 3])
                }
            }
            Self.roots.withUnsafeBufferPointer { roots in
                words.withUnsafeMutableBufferPointer { words in
                    state.withUnsafeMutableBufferPointer { state in Self.mix(state, words, roots) }
                }
            }
        }

        private static func mix(
            _ state: UnsafeMutableBufferPointer<UInt32>, _ words: UnsafeMutableBufferPointer<UInt32>,
            _ roots: UnsafeBufferPointer<UInt32>
        ) {
            func turned(_ word: UInt32, _ by: UInt32) -> UInt32 { word >> by | word << (32 - by) }
            for index in 16..<64 {
                let (early, late) = (words[index - 15], words[index - 2])
                let first = turned(early, 7) ^ turned(early, 18) ^ early >> 3
                let second = turned(late, 17) ^ turned(late, 19) ^ late >> 10
                words[index] = words[index - 16] &+ first &+ words[index - 7] &+ second
            }
            var (a, b, c, d) = (state[0], state[1], state[2], state[3])
            var (e, f, g, h) = (state[4], state[5], state[6], state[7])
            for index in 0..<64 {
                let mixed = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)
                let one = h &+ mixed &+ (e & f ^ ~e & g) &+ roots[index] &+ words[index]
                let two = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) &+ (a & b ^ a & c ^ b & c)
                (h, g, f, e) = (g, f, e, d &+ one)
                (d, c, b, a) = (c, b, a, one &+ two)
            }
            for (index, value) in [a, b, c, d, e, f, g, h].enumerated() { state[index] = state[index] &+ value }
        }
    }
#endif
