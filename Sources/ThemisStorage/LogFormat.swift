import ThemisBase

/// RocksDB's log format as far as a check of it needs: 32 KiB blocks of fragments, each with its checksum.
///
/// A fragment is `crc32c u32 (masked) | length u16 | type u8 | payload`, a recyclable one has `log number u32` before its
/// payload. The checksum covers everything behind the length. A block ends with fewer than 7 bytes that nobody reads.
enum LogFormat {
    static let blockBytes = 32 << 10
    static let headerBytes = 7
    private static let recyclableHeaderBytes = 11

    enum Kind: Sendable {
        case full, first, middle, last
    }

    struct Fragment: Sendable {
        let kind: Kind
        /// Within the block.
        let payload: Range<Int>
    }

    /// The fragment at `offset` of `block` if its header makes sense and its checksum holds under the type that is stored.
    static func fragment(in block: [UInt8], at offset: Int, logNumber: UInt64) -> Fragment? {
        guard offset + headerBytes <= block.count else { return nil }
        let type = block[offset + 6]
        // A test of one byte first: the search behind damage calls this for every offset.
        guard type >= 1, type <= 8 else { return nil }
        let isRecyclable = type > 4
        let start = offset + (isRecyclable ? recyclableHeaderBytes : headerBytes)
        let length = Int(block[offset + 4]) | Int(block[offset + 5]) << 8
        guard start + length <= block.count else { return nil }
        if isRecyclable {
            guard littleEndian32(block, offset + headerBytes) == UInt32(truncatingIfNeeded: logNumber) else { return nil }
        }
        let crc = unsafe block.withUnsafeBytes {
            unsafe Digest.crc32c(UnsafeRawBufferPointer(rebasing: $0[(offset + 6)..<(start + length)]))
        }
        guard masked(crc) == littleEndian32(block, offset) else { return nil }
        let kinds: [Kind] = [.full, .first, .middle, .last]
        return Fragment(kind: kinds[Int(isRecyclable ? type - 5 : type - 1)], payload: start..<(start + length))
    }

    /// RocksDB stores checksums of data that may hold checksums rotated and shifted.
    static func masked(_ crc: UInt32) -> UInt32 { ((crc >> 15) | (crc << 17)) &+ 0xA282_EAD8 }

    private static func littleEndian32(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        UInt32(bytes[offset]) | UInt32(bytes[offset + 1]) << 8 | UInt32(bytes[offset + 2]) << 16 | UInt32(bytes[offset + 3]) << 24
    }

    /// The mark that our writes put first into every record (CRocksDB/batch.cpp): its place in the chain of writes, and the
    /// highest place that was on disk when it was written.
    struct ChainMark: Sendable, Equatable {
        let chain: UInt64
        let synced: UInt64

        /// Bytes of a record that suffice to find the mark: batch header 12, tag, length, mark 19.
        static let headBytes = 33

        /// The mark in the first bytes of a record, nil in a record that does not begin with one.
        init?(_ head: [UInt8]) {
            guard head.count >= Self.headBytes, head[12] == 3, head[13] == 19, head[14...16].elementsEqual("TH1".utf8) else {
                return nil
            }
            var reader = ByteReader(head, in: 17..<33)
            guard let chain = reader.littleEndian(UInt64.self), let synced = reader.littleEndian(UInt64.self) else { return nil }
            self.chain = chain
            self.synced = synced
        }
    }
}
