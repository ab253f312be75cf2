import Glibc

/// Words on standard output and standard error, and the end of the process.
enum ProcessEnd {
    static func write(_ text: String, to descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Without the handlers of libraries, which wait for threads that may be stuck: what had to be on disk is there.
    static func now(_ code: Int32) -> Never { _exit(code) }

    static func failed(_ failure: StartFailure) -> Never {
        write(failure.text, to: 2)
        now(failure.code.rawValue)
    }
}
