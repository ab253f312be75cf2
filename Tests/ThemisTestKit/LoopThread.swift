import Foundation
public import ThemisNet

/// The event loop of a test process, on a thread of its own.
public enum LoopThread {
    private static let isStarted: Bool = {
        let thread = Thread {
            do {
                try EventLoop.run {}
            } catch {
                preconditionFailure("the setup is empty and cannot fail: \(error)")
            }
        }
        thread.name = "loop"
        thread.start()
        return true
    }()

    /// Starts the loop once for the whole process. Any thread; later calls do nothing.
    public static func start() { _ = isStarted }
}

extension NetLoop {
    /// Runs `body` on the loop and waits for it.
    public static func run<Result: Sendable>(_ body: @NetLoop @Sendable () throws -> Result) async rethrows -> Result {
        try await body()
    }
}
