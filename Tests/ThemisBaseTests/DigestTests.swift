import Testing
import ThemisBase

@Suite struct DigestTests {
    /// By the definition: bit by bit.
    private static func crc32c(_ bytes: some Sequence<UInt8>, seed: UInt32) -> UInt32 {
        var crc = ~seed
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = (crc >> 1) ^ (crc & 1 == 1 ? 0x82F6_3B78 : 0) }
        }
        return ~crc
    }

    @Test func `a CRC-32C of any length and beginning is that of the definition`() {
        let bytes = (0..<5_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
        // Around the lengths where stretches are summed side by side, and every short one.
        for length in [Array(0...40), Array(760...780), Array(1_530...1_545), [2_304, 4_990]].flatMap({ $0 }) {
            for start in [0, 1, 7] {
                let part = Array(bytes[start..<(start + length)])
                let seed = UInt32(length &* 77)
                #expect(Digest.crc32c(part, seed: seed) == Self.crc32c(part, seed: seed), "\(length) bytes from \(start)")
            }
        }
        #expect(Digest.crc32c(Array("123456789".utf8)) == 0xE306_9283)
    }
}
