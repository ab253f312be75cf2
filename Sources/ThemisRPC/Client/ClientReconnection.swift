import ThemisBase
import ThemisNet
import ThemisTelemetry

/// How a client finds the core, loses it and finds it again.
extension RPCClient {
    func run() async {
        var pause = options.firstPauseMilliseconds
        while !isStopped {
            var wasOpen = false
            do {
                let stream = try await Connector.connect(
                    address, timeoutMilliseconds: options.connectTimeoutMilliseconds,
                    options: ByteStream.Options(keptOutputBytes: ServerConnection.keptOutputBytes))
                guard !isStopped else { return stream.close() }
                connectionCount += 1
                let connection = ClientConnection(self, stream, number: connectionCount)
                self.connection = connection
                wasOpen = await connection.run()
                self.connection = nil
            } catch {
                connectionBroke((error as? ThemisError)?.message ?? "cancelled")
            }
            if wasOpen { pause = options.firstPauseMilliseconds }
            // Half of the pause is jitter: sidecars must not come back all at once.
            let jittered = pause / 2 + Int(random.next() % UInt64(max(1, pause / 2 + 1)))
            pause = min(options.longestPauseMilliseconds, pause * 2)
            do { try await NetLoop.sleep(milliseconds: jittered) } catch { return }
        }
    }

    func connectionOpened(_ hello: HelloOK) {
        hasWarned = false
        lastFailure = ""
        telemetry.log.info(
            "connected to the core",
            [(.socket, options.socketPath), (.version, hello.build), (.epoch, hello.epoch)])
        change {
            $0 = State(
                isConnected: true, bootID: hello.bootID, epoch: hello.epoch, coreVersion: hello.build, rpcVersion: hello.version)
        }
        sendWaiting()
    }

    /// The core does not want us: waiting longer does not help those who wait.
    func connectionRefused(_ error: ThemisError) {
        connectionBroke(error.message)
        for call in takeWaiting() { call.fail(outcome(.notCommitted, for: call, error)) }
    }

    func connectionBroke(_ reason: String) {
        lastFailure = reason
        guard !hasWarned, !isStopped else { return }
        hasWarned = true
        telemetry.log.warning("the core is not reachable", [(.socket, options.socketPath), (.reason, reason)])
    }

    func coreDrains() { change { $0.isConnected = false } }

    /// What was sent on a connection that broke: repeated once if it only reads.
    func connectionClosed(_ connection: ClientConnection, lost: [ClientCall], _ reason: CloseReason) {
        if self.connection === connection { self.connection = nil }
        change { $0.isConnected = false }
        if state.bootID != nil { connectionBroke(lastFailure.isEmpty ? reason.text : lastFailure) }
        for call in lost {
            if isStopped {
                call.fail(outcome(.unknown, for: call, Self.stopped))
            } else if call.method.effect == .read, call.method.shape == .unary, call.attempts < 2 {
                again(call)
            } else if call.method.effect == .write {
                call.fail(
                    ThemisError(
                        .commitUnknown, "the connection to the core broke before it answered", outcome: .unknown,
                        retryAfterSeconds: 1))
            } else {
                call.fail(unavailable)
            }
        }
        // Those who wait for a place now wait for a connection.
        let now = telemetry.time.monotonicNanoseconds()
        for call in waiting[firstWaiting...] where call.place == .waiting { wait(call, from: now) }
    }

    private func again(_ call: ClientCall) {
        call.place = .waiting
        call.assembler = nil
        waiting.append(call)
        wait(call, from: telemetry.time.monotonicNanoseconds())
    }

    private func wait(_ call: ClientCall, from now: UInt64) {
        call.connectByNanoseconds = now + UInt64(options.connectWaitMilliseconds) * 1_000_000
        schedule(min(call.connectByNanoseconds, call.deadlineNanoseconds ?? .max))
    }

    /// The core answered with an error.
    func failed(_ call: ClientCall, _ error: ThemisError) {
        let isRepeatable = call.method.effect == .read && call.method.shape == .unary && call.attempts < 2
        if error.code == .shuttingDown, isRepeatable, !isStopped { return again(call) }
        call.fail(error)
    }

    /// The core answered BUSY: it has not begun.
    func refused(_ call: ClientCall, isDraining: Bool) {
        if isDraining, !isStopped, call.method.shape == .unary {
            call.attempts -= 1
            return again(call)
        }
        call.fail(
            outcome(.notCommitted, for: call, ThemisError(.overloaded, "the core has too many requests", retryAfterSeconds: 1)))
    }

    private func change(_ body: (inout State) -> Void) {
        var changed = state
        body(&changed)
        guard changed != state else { return }
        state = changed
        for observer in observers { observer(changed) }
    }
}
