import Glibc
import ThemisBase

/// A call of the operating system that failed.
struct SystemFailure: Error, Sendable {
    let operation: String
    let path: String
    let number: Int32

    init(_ operation: String, _ path: String, _ number: Int32 = errno) {
        self.operation = operation
        self.path = path
        self.number = number
    }

    var text: String { "cannot \(operation) \(path): \(unsafe String(cString: strerror(number)))" }

    /// For the operator; nothing of this reaches a client.
    var error: ThemisError { startError(.internalError, text) }

    /// What a start that failed tells the operator: `code`, unless the disk is full or does not work. That is no fault of the data or
    /// of the configuration, and passes.
    func startError(_ code: ErrorCode, _ text: String) -> ThemisError {
        switch number {
        case ENOSPC, EDQUOT: ThemisError(.diskFull, text)
        case EIO: ThemisError(.diskFailing, text)
        default: ThemisError(code, text)
        }
    }
}

/// An open file, closed with its last reference. Positioned reads and writes only: any thread.
final class OpenFile: Sendable {
    let descriptor: Int32
    let path: String

    init(_ path: String, _ flags: Int32, mode: mode_t = 0o640) throws(SystemFailure) {
        descriptor = unsafe Glibc.open(path, flags | O_CLOEXEC, mode)
        self.path = path
        guard descriptor >= 0 else { throw SystemFailure("open", path) }
    }

    deinit { Glibc.close(descriptor) }

    var size: Int {
        get throws(SystemFailure) {
            var status = stat()
            guard unsafe fstat(descriptor, &status) == 0 else { throw SystemFailure("examine", path) }
            return Int(status.st_size)
        }
    }

    /// Up to `count` bytes from `offset`; fewer only at the end of the file.
    func read(_ count: Int, at offset: Int) throws(SystemFailure) -> [UInt8] {
        var failure: Int32 = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = unsafe pread(descriptor, buffer.baseAddress! + filled, count - filled, off_t(offset + filled))
                if got < 0, errno == EINTR { continue }
                if got < 0 { failure = errno }
                if got <= 0 { break }
                filled += got
            }
        }
        guard failure == 0 else { throw SystemFailure("read", path, failure) }
        return bytes
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(SystemFailure) {
        var done = 0
        while done < bytes.count {
            let put = unsafe bytes.withUnsafeBytes {
                unsafe pwrite(descriptor, $0.baseAddress! + done, bytes.count - done, off_t(offset + done))
            }
            if put < 0, errno == EINTR { continue }
            guard put > 0 else { throw SystemFailure("write", path) }
            done += put
        }
    }

    func truncate(to size: Int) throws(SystemFailure) {
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw SystemFailure("truncate", path) }
    }

    func sync() throws(SystemFailure) {
        guard fsync(descriptor) == 0 else { throw SystemFailure("sync", path) }
    }
}

/// What this layer does with directories and small files.
enum FileSystem {
    static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    /// The names in a directory, sorted, without `.` and `..`.
    static func names(in path: String) throws(SystemFailure) -> [String] {
        guard let directory = unsafe opendir(path) else { throw SystemFailure("list", path) }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { field in
                unsafe field.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Makes a directory and its parents; no error when it is there.
    static func makeDirectories(_ path: String) throws(SystemFailure) {
        if unsafe mkdir(path, 0o750) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw SystemFailure("make directory", path)
        }
        try makeDirectories(String(path[..<slash]))
        guard unsafe mkdir(path, 0o750) == 0 || errno == EEXIST else { throw SystemFailure("make directory", path) }
    }

    /// Makes names in a directory durable.
    static func syncDirectory(_ path: String) throws(SystemFailure) { try OpenFile(path, O_RDONLY | O_DIRECTORY).sync() }

    /// The whole of a small file, nil when there is none.
    static func contents(_ path: String, limit: Int = 1 << 20) throws(SystemFailure) -> [UInt8]? {
        do throws(SystemFailure) {
            return try OpenFile(path, O_RDONLY).read(limit, at: 0)
        } catch {
            if error.number == ENOENT { return nil }
            throw error
        }
    }

    /// Replaces a small file so that a crash leaves the old or the new content.
    static func replace(_ name: String, in directory: String, with bytes: [UInt8]) throws(SystemFailure) {
        let path = "\(directory)/\(name)"
        let file = try OpenFile(path + ".new", O_RDWR | O_CREAT | O_TRUNC)
        try file.write(bytes, at: 0)
        try file.sync()
        try move(path + ".new", to: path)
        try syncDirectory(directory)
    }

    static func move(_ source: String, to target: String) throws(SystemFailure) {
        guard unsafe rename(source, target) == 0 else { throw SystemFailure("rename", source) }
    }

    /// Removes a file; no error when there is none.
    static func remove(_ path: String) throws(SystemFailure) {
        guard unsafe unlink(path) == 0 || errno == ENOENT else { throw SystemFailure("remove", path) }
    }

    /// Removes a directory with everything in it; no error when there is none.
    static func removeTree(_ path: String) throws(SystemFailure) {
        guard exists(path) else { return }
        for name in try names(in: path) {
            let inner = "\(path)/\(name)"
            if unsafe unlink(inner) == 0 { continue }
            guard errno == EISDIR || errno == EPERM else { throw SystemFailure("remove", inner) }
            try removeTree(inner)
        }
        guard unsafe rmdir(path) == 0 else { throw SystemFailure("remove", path) }
    }

    /// Copies a file by reading and writing it.
    static func copy(_ source: String, to target: String) throws(SystemFailure) {
        let from = try OpenFile(source, O_RDONLY)
        let to = try OpenFile(target, O_RDWR | O_CREAT | O_TRUNC)
        var offset = 0
        while true {
            let piece = try from.read(1 << 20, at: offset)
            if piece.isEmpty { break }
            try to.write(piece, at: offset)
            offset += piece.count
        }
        try to.sync()
    }

    /// Bytes that a process without privileges may still write on the file system of `path`.
    static func freeBytes(_ path: String) throws(SystemFailure) -> UInt64 {
        var status = statvfs()
        guard unsafe statvfs(path, &status) == 0 else { throw SystemFailure("measure the free space of", path) }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }
}
