import CCrypto

/// Checksums, digests and random bytes, by the machine's own libraries. Any thread.
public enum Digest {
    /// CRC-32C (RFC 3720 B.4), continuing from `seed`.
    public static func crc32c(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
        guard let base = bytes.baseAddress else { return seed }
        return unsafe themis_crc32c(seed, base, bytes.count)
    }

    /// CRC-32C of an array.
    public static func crc32c(_ bytes: [UInt8], seed: UInt32 = 0) -> UInt32 {
        unsafe bytes.withUnsafeBytes { unsafe crc32c($0, seed: seed) }
    }

    /// SHA-256 (FIPS 180-4), 32 bytes.
    public static func sha256(_ bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        let isDone = unsafe bytes.withUnsafeBytes { source in
            unsafe digest.withUnsafeMutableBufferPointer { unsafe themis_sha256(source.baseAddress, source.count, $0.baseAddress) }
        }
        precondition(isDone == 1, "SHA-256 is part of every libcrypto")
        return digest
    }

    /// `count` bytes from the kernel's random source.
    public static func random(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let isDone = unsafe bytes.withUnsafeMutableBytes { unsafe themis_random($0.baseAddress, $0.count) }
        precondition(isDone == 1, "the kernel's random source cannot fail once the machine runs")
        return bytes
    }

    /// Lower-case hexadecimal.
    public static func hex(_ bytes: some Collection<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count * 2)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}
