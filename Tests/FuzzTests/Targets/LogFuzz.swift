import Glibc
import ThemisBase
import ThemisTelemetry

@testable import ThemisStorage

/// The check of the write-ahead log: it ends, changes nothing by looking, and what it cuts off is clean afterwards.
enum LogFuzz {
    private static let telemetry = Telemetry.silent()

    /// Records as `log` reads them, or raw bytes, in one or two files.
    static func check(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        let flags = input.byte()
        let first = flags & 1 == 0 ? log(&input, flags & 4 == 0 ? 9 : nil) : input.part()
        let second = flags & 2 == 0 ? nil : log(&input, nil)
        let directory = try Scratch()
        try directory.write(first, "000009.log")
        if let second { try directory.write(second, "000010.log") }
        let scan = try WriteAheadLogScan(reading: directory.path)
        let sizes = [first.count, second?.count ?? 0]
        for cut in scan.cuts {
            let size = cut.file == "000009.log" ? sizes[0] : sizes[1]
            try require(cut.offset >= 0 && cut.bytes > 0 && cut.offset + cut.bytes == size, "a cut of \(cut) in \(size) bytes")
        }
        try require(scan.damage == nil || scan.refusal != nil, "damage without a refusal")
        guard scan.damage == nil else { return }
        try scan.applyCuts(telemetry.log)
        let again = try WriteAheadLogScan(reading: directory.path)
        try require(again.damage == nil && again.cuts.isEmpty, "not clean after the cuts: \(again)")
        try require(again.records == scan.records && again.lastChain == scan.lastChain, "the cuts took whole records")
    }

    /// `type | length | chain | synced | payload`, each sealed by its checksum unless the type says otherwise.
    private static func log(_ input: inout FuzzInput, _ recyclable: UInt32?) -> [UInt8] {
        var out: [UInt8] = []
        while !input.rest.isEmpty {
            let type = input.byte()
            if type == 0xFF { break }
            let isMarked = type & 0x10 == 0
            let isRecyclable = type & 0x20 != 0
            var payload: [UInt8] = []
            if isMarked {
                payload = [UInt8](repeating: 0, count: 12) + [3, 19] + Array("TH1".utf8)
                payload.appendLittleEndian(UInt64(input.byte()))
                payload.appendLittleEndian(UInt64(input.byte()))
            }
            // Long ones reach over the end of a block.
            let length = input.byte()
            payload += length >= 0xF0 ? [UInt8](repeating: length, count: Int(length & 15) << 11) : input.take(Int(length & 31))
            var body: [UInt8] = [(type & 3) + (isRecyclable ? 5 : 1)]
            if isRecyclable { body.appendLittleEndian(recyclable ?? 10) }
            body += payload
            var crc = LogFormat.masked(unsafe body.withUnsafeBytes { unsafe Digest.crc32c($0) })
            if type & 0x40 != 0 { crc &+= 1 }
            out.appendLittleEndian(crc)
            out.appendLittleEndian(UInt16(truncatingIfNeeded: payload.count))
            out += body
            if type & 0x80 != 0 { out += [UInt8](repeating: 0, count: Int(input.byte())) }
        }
        return out
    }
}

/// A directory that goes with its owner.
private final class Scratch {
    let path: String

    init() throws {
        path = "/dev/shm/themis-fuzz-\(getpid())"
        _ = unsafe mkdir(path, 0o700)
    }

    func write(_ bytes: [UInt8], _ name: String) throws {
        let file = try OpenFile("\(path)/\(name)", O_RDWR | O_CREAT | O_TRUNC)
        try file.write(bytes, at: 0)
    }

    deinit {
        for name in ["000009.log", "000010.log"] { unsafe unlink("\(path)/\(name)") }
        unsafe rmdir(path)
    }
}

/// The engine's list of files: reading an edit ends, and what an edit says is kept is never forgotten.
enum ManifestFuzz {
    /// Edits, each behind its length.
    static func check(_ bytes: [UInt8]) throws {
        var reader = ByteReader(bytes)
        var manifest = EngineManifest()
        var kept: UInt64 = 0
        while let record = reader.lengthPrefixed() {
            guard let edit = EngineManifest.decode(Array(record)) else { continue }
            manifest.take(edit)
            if edit.remaining == nil { kept = max(kept, edit.oldestKept ?? 0) }
            try require(manifest.oldestNeeded >= kept, "\(manifest.oldestNeeded) is needed, \(kept) was kept")
        }
    }
}
