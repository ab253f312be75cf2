import CLinux
import Glibc
import ThemisBase

/// Opens connections.
public enum Connector {
    /// Connects to `address` without blocking the loop.
    ///
    /// - Parameter timeoutMilliseconds: from 1 on.
    /// - Throws: `core_unavailable` with the system's reason when the peer refuses or does not answer in time,
    ///   `CancellationError`.
    @NetLoop public static func connect(
        _ address: SocketAddress, timeoutMilliseconds: Int, options: ByteStream.Options = ByteStream.Options()
    ) async throws -> ByteStream {
        var raw = address.raw
        let descriptor = unsafe themis_connect(&raw)
        guard descriptor >= 0 else { throw refusal(address, errno) }
        let attempt = Attempt(descriptor)
        let error = await withTaskCancellationHandler {
            await attempt.finish(timeoutMilliseconds: timeoutMilliseconds)
        } onCancel: {
            NetLoop.post { attempt.settle(ECANCELED) }
        }
        guard error == 0 else {
            try Task.checkCancellation()
            throw refusal(address, error)
        }
        return ByteStream(descriptor: attempt.socket.take(), options: options)
    }

    private static func refusal(_ address: SocketAddress, _ error: Int32) -> ThemisError {
        ThemisError(.coreUnavailable, "cannot connect to \(address.text): \(errorText(error))", retryAfterSeconds: 1)
    }
}

/// One connection being made.
@NetLoop private final class Attempt {
    let socket: OwnedDescriptor
    private var watcher: FileWatcher?
    private var timer: LoopTimer?
    private var waiting: CheckedContinuation<Int32, Never>?
    private var result: Int32?

    init(_ descriptor: Int32) { socket = OwnedDescriptor(descriptor) }

    /// 0, or the errno value of the failure.
    func finish(timeoutMilliseconds: Int) async -> Int32 {
        await withCheckedContinuation { continuation in
            if let result { return continuation.resume(returning: result) }
            waiting = continuation
            let watcher = FileWatcher(descriptor: socket.number) { [weak self] _ in
                guard let self else { return }
                settle(themis_socket_error(socket.number))
            }
            let timer = LoopTimer { [weak self] in self?.settle(ETIMEDOUT) }
            timer.schedule(milliseconds: max(1, timeoutMilliseconds))
            self.watcher = watcher
            self.timer = timer
            if !watcher.watch(.writable) { settle(EMFILE) }
        }
    }

    func settle(_ error: Int32) {
        guard result == nil else { return }
        result = error
        watcher?.cancel()
        watcher = nil
        timer = nil
        waiting?.resume(returning: error)
        waiting = nil
    }
}
