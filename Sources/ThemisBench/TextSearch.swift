import Glibc

/// Where constant text stands in bytes.
enum TextSearch {
    /// The first place of `text` in `bytes[from..<limit]`; nil when it is not there.
    static func find(_ text: StaticString, in bytes: UnsafeRawBufferPointer, from: Int = 0, limit: Int = .max) -> Int? {
        guard let base = bytes.baseAddress else { return nil }
        let end = min(limit, bytes.count)
        let length = text.utf8CodeUnitCount
        var place = from
        while place + length <= end {
            let first = unsafe Int32(text.utf8Start[0])
            guard let found = unsafe memchr(base + place, first, end - place - length + 1) else { return nil }
            let index = unsafe UnsafeRawPointer(found) - base
            if unsafe memcmp(found, text.utf8Start, length) == 0 { return index }
            place = index + 1
        }
        return nil
    }
}
