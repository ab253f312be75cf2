import Glibc
import Synchronization
public import ThemisBase

/// Where log lines go.
public protocol LogOutput: Sendable {
    /// Takes one line with its newline, whole or not at all; false when it was dropped. Never waits for a reader.
    func write(_ line: [UInt8]) -> Bool
    /// Opens the target anew, for tools that rename log files.
    func reopen()
}

/// Writes lines to an open descriptor such as standard error: a file, a terminal, a pipe or a socket. Any thread.
///
/// A pipe whose reader is stuck must not stop the process, and making the descriptor itself non-blocking would change it for
/// every process that shares it. So a pipe or terminal is opened once more through /proc with a description of its own; a socket
/// is written with MSG_DONTWAIT. What a line that was taken in part still lacks is kept and written before the next line, so that
/// no line is ever cut.
public final class DescriptorOutput: LogOutput {
    /// File descriptor 2.
    public static let standardError = DescriptorOutput(descriptor: 2)

    private enum Way: Sendable {
        case plain, socket, polled
    }

    private let descriptor: Int32
    private let way: Way
    private let rest = Mutex<[UInt8]>([])

    /// Writes to `descriptor`, which stays open as long as the process lives.
    public init(descriptor: Int32) {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else {
            self.descriptor = descriptor
            way = .plain
            return
        }
        switch status.st_mode & S_IFMT {
        case S_IFSOCK:
            self.descriptor = descriptor
            way = .socket
        case S_IFIFO, S_IFCHR:
            let own = unsafe open("/proc/self/fd/\(descriptor)", O_WRONLY | O_NONBLOCK | O_APPEND | O_NOCTTY | O_CLOEXEC)
            self.descriptor = own >= 0 ? own : descriptor
            way = own >= 0 ? .plain : .polled
        default:
            self.descriptor = descriptor
            way = .plain
        }
    }

    /// Takes one line; false when the reader does not keep up.
    public func write(_ line: [UInt8]) -> Bool {
        rest.withLock { rest in
            if !rest.isEmpty {
                let written = send(rest)
                rest.removeFirst(written)
                guard rest.isEmpty else { return false }
            }
            let written = send(line)
            guard written > 0 || line.isEmpty else { return false }
            if written < line.count { rest = Array(line[written...]) }
            return true
        }
    }

    /// Nothing: whoever opened the descriptor owns its name.
    public func reopen() {}

    /// How many bytes the target took now; 0 when it is full or gone.
    private func send(_ bytes: [UInt8]) -> Int {
        if way == .polled {
            // A writable pipe takes PIPE_BUF bytes without waiting.
            var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard unsafe Glibc.poll(&poll, 1, 0) == 1, poll.revents & Int16(POLLOUT) != 0 else { return 0 }
        }
        let limit = way == .polled ? min(bytes.count, 4_096) : bytes.count
        while true {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                way == .socket
                    ? unsafe Glibc.send(descriptor, buffer.baseAddress, limit, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
                    : unsafe Glibc.write(descriptor, buffer.baseAddress, limit)
            }
            if count >= 0 { return count }
            if errno != EINTR { return 0 }
        }
    }
}

/// Writes lines to a file that is renamed to `file.1`, `file.2`, … when it has reached its size. Any thread; several processes
/// may share one file: lines are appended whole, and who finds the file full rotates it under a lock that the others do not wait
/// for.
public final class FileOutput: LogOutput {
    private let path: String
    private let maximumBytes: Int
    private let maximumFiles: Int
    private let descriptor: Mutex<Int32>

    /// Opens or makes the file.
    ///
    /// - Parameter maximumFiles: files in all, the current one included; at least 1.
    /// - Throws: `invalid_configuration` when the file cannot be opened, with the system's reason.
    public init(path: String, maximumBytes: Int, maximumFiles: Int) throws(ThemisError) {
        self.path = path
        self.maximumBytes = max(maximumBytes, Limits.logLineBytes)
        self.maximumFiles = max(maximumFiles, 1)
        let opened = Self.open(path)
        guard opened >= 0 else {
            throw ThemisError(
                .invalidConfiguration, "cannot open the log file: \(unsafe String(cString: strerror(errno)))",
                fields: [FieldError("logging.file", "choose a file in a directory that exists and is writable")])
        }
        descriptor = Mutex(opened)
    }

    deinit {
        let last = descriptor.withLock { $0 }
        close(last)
    }

    /// Appends one line; false when the disk does not take it.
    public func write(_ line: [UInt8]) -> Bool {
        descriptor.withLock { descriptor in
            var status = stat()
            if unsafe fstat(descriptor, &status) == 0, Int(status.st_size) + line.count > maximumBytes { rotate(&descriptor) }
            let count = unsafe line.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            return count == line.count
        }
    }

    /// Opens the file by its name again.
    public func reopen() { descriptor.withLock { replace(&$0) } }

    private func rotate(_ descriptor: inout Int32) {
        // Another process is at it: this line still goes into the old file.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return }
        defer { flock(descriptor, LOCK_UN) }
        var own = stat()
        var named = stat()
        let isKnown = unsafe fstat(descriptor, &own) == 0 && stat(path, &named) == 0
        if isKnown, own.st_ino == named.st_ino, own.st_dev == named.st_dev {
            if maximumFiles == 1 {
                ftruncate(descriptor, 0)
                return
            }
            for number in stride(from: maximumFiles - 2, to: 0, by: -1) {
                unsafe rename("\(path).\(number)", "\(path).\(number + 1)")
            }
            unsafe rename(path, "\(path).1")
        }
        replace(&descriptor)
    }

    private func replace(_ descriptor: inout Int32) {
        let opened = Self.open(path)
        guard opened >= 0 else { return }
        close(descriptor)
        descriptor = opened
    }

    private static func open(_ path: String) -> Int32 {
        unsafe Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
    }
}
