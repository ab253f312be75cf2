import Glibc
import ThemisBase

/// RocksDB's own list of its files (`MANIFEST-*`), as far as the check of the log needs it: which logs the engine still reads.
///
/// RocksDB removes logs that it needs no more in groups, the newest first, so a process that is killed in between leaves old ones
/// in front of a gap. The engine passes them over, and so must the check. The list is a log of edits (`db/version_edit.cc` of
/// RocksDB 7.8) in the format of the write-ahead log. One thread.
struct EngineManifest {
    /// One edit, as far as it speaks of logs.
    struct Edit {
        var family: UInt64 = 0
        var logNumber: UInt64?
        var oldestKept: UInt64?
        var isAdded = false
        var isDropped = false
        /// Edits of the same atomic group that follow; nil outside of groups.
        var remaining: UInt64?
    }

    private enum Tag {
        static let comparator: UInt64 = 1
        static let logNumber: UInt64 = 2
        static let nextFileNumber: UInt64 = 3
        static let lastSequence: UInt64 = 4
        static let compactCursor: UInt64 = 5
        static let deletedFile: UInt64 = 6
        static let previousLogNumber: UInt64 = 9
        static let oldestKeptLog: UInt64 = 10
        static let newFile: UInt64 = 103
        static let family: UInt64 = 200
        static let familyAdded: UInt64 = 201
        static let familyDropped: UInt64 = 202
        static let maxFamily: UInt64 = 203
        static let atomicGroup: UInt64 = 300
        /// From here on every tag has a length and may be passed over.
        static let ignorable: UInt64 = 1 << 13
        /// Ends the fields of a new file.
        static let endOfFields: UInt64 = 1
    }

    /// The log in which each family's first unwritten pair may lie.
    private var logNumbers: [UInt64: UInt64] = [0: 0]
    private var oldestKept: UInt64 = 0
    private var group: [Edit] = []

    /// The lowest number of a log that the engine of `path` still reads; 0 when it reads all of them, or when nobody can tell.
    ///
    /// Reading ends at the first record that is not whole, as it does at the end of a list that was being written. Numbers only rise,
    /// so what is found then is too low at most, and more is checked than had to be.
    static func oldestNeededLog(in path: String) throws(SystemFailure) -> UInt64 {
        guard let current = try FileSystem.contents("\(path)/CURRENT") else { return 0 }
        let name = String(decoding: current.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        guard name.hasPrefix("MANIFEST-"), FileSystem.exists("\(path)/\(name)") else { return 0 }
        let file = try OpenFile("\(path)/\(name)", O_RDONLY)
        var manifest = EngineManifest()
        var record: [UInt8] = []
        var start = 0
        while true {
            let block = try file.read(LogFormat.blockBytes, at: start)
            var offset = 0
            while let fragment = LogFormat.fragment(in: block, at: offset, logNumber: 0) {
                offset = fragment.payload.upperBound
                if fragment.kind == .full || fragment.kind == .first { record.removeAll(keepingCapacity: true) }
                record.append(contentsOf: block[fragment.payload])
                guard fragment.kind == .full || fragment.kind == .last else { continue }
                guard let edit = Self.decode(record) else { return manifest.oldestNeeded }
                manifest.take(edit)
            }
            guard block.count == LogFormat.blockBytes, block.count - offset < LogFormat.headerBytes else {
                return manifest.oldestNeeded
            }
            start += LogFormat.blockBytes
        }
    }

    /// Two numbers bound what is read: the one noted with each flush, and the lowest among the families.
    var oldestNeeded: UInt64 { max(oldestKept, logNumbers.values.min() ?? 0) }

    /// An edit counts at once, edits of an atomic group when the last of them is there.
    mutating func take(_ edit: Edit) {
        guard let remaining = edit.remaining else { return apply(edit) }
        group.append(edit)
        guard remaining == 0 else { return }
        group.forEach { apply($0) }
        group.removeAll()
    }

    private mutating func apply(_ edit: Edit) {
        if edit.isDropped { logNumbers[edit.family] = nil }
        if edit.isAdded { logNumbers[edit.family] = 0 }
        if let number = edit.logNumber, let known = logNumbers[edit.family] { logNumbers[edit.family] = max(known, number) }
        oldestKept = max(oldestKept, edit.oldestKept ?? 0)
    }

    /// Reads one record of the list, nil when it holds something that may not be passed over.
    static func decode(_ record: [UInt8]) -> Edit? {
        var reader = ByteReader(record)
        var edit = Edit()
        while reader.remaining > 0 {
            guard let tag = reader.varint() else { return nil }
            switch tag {
            case Tag.logNumber: edit.logNumber = reader.varint()
            case Tag.oldestKeptLog: edit.oldestKept = reader.varint()
            case Tag.family:
                guard let family = reader.varint() else { return nil }
                edit.family = family
            case Tag.familyAdded:
                guard reader.lengthPrefixed() != nil else { return nil }
                edit.isAdded = true
            case Tag.familyDropped: edit.isDropped = true
            case Tag.atomicGroup:
                guard let remaining = reader.varint() else { return nil }
                edit.remaining = remaining
            default: guard pass(tag, &reader) else { return nil }
            }
        }
        return edit
    }

    /// Steps over what says nothing about logs; false when its length is unknown or it is cut short.
    private static func pass(_ tag: UInt64, _ reader: inout ByteReader) -> Bool {
        switch tag {
        case Tag.nextFileNumber, Tag.lastSequence, Tag.previousLogNumber, Tag.maxFamily: reader.varint() != nil
        case Tag.deletedFile: reader.varint() != nil && reader.varint() != nil
        case Tag.compactCursor: reader.varint() != nil && reader.lengthPrefixed() != nil
        case Tag.newFile: passFile(&reader)
        default: (tag == Tag.comparator || tag > Tag.ignorable) && reader.lengthPrefixed() != nil
        }
    }

    /// `level | number | size | smallest | largest | first sequence | last sequence | (field tag | field)… | 1`
    private static func passFile(_ reader: inout ByteReader) -> Bool {
        for _ in 0..<3 where reader.varint() == nil { return false }
        for _ in 0..<2 where reader.lengthPrefixed() == nil { return false }
        for _ in 0..<2 where reader.varint() == nil { return false }
        while let field = reader.varint() {
            if field == Tag.endOfFields { return true }
            guard reader.lengthPrefixed() != nil else { return false }
        }
        return false
    }
}
