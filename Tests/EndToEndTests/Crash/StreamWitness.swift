import Foundation
import ThemisBase
import ThemisTestKit

/// Follows the changefeed as a browser does and remembers every event it was sent. Any thread.
final class StreamWitness: Sendable {
    struct State {
        var events: [ChangeEvent] = []
        var breaks = 0
        var complaints: [String] = []
        var isEnded = false
    }

    let state = Monitor(State())
    private let port: UInt16
    private let thread = Monitor<WorkThread?>(nil)

    init(port: UInt16) { self.port = port }

    func start() {
        let body = WorkThread(name: "witness") { self.run() }
        thread.withLock { $0 = body }
    }

    /// Ends at the next heartbeat at the latest.
    func end() {
        state.withLock { $0.isEnded = true }
        thread.withLock { $0 }?.join()
    }

    var breaks: Int { state.withLock { $0.breaks } }

    /// Waits until the witness has seen `sequence`; false when that takes longer than `seconds`.
    func waitFor(_ sequence: UInt64, seconds: Int64) -> Bool {
        state.wait(milliseconds: seconds * 1_000) { ($0.events.last?.sequence ?? 0) >= sequence ? true : nil } ?? (sequence == 0)
    }

    private func run() {
        var lastEventID: String?
        while !state.withLock({ $0.isEnded }) {
            var isOrderly = false
            do {
                let fields = lastEventID.map { ["Last-Event-ID": $0] } ?? [:]
                let stream = try EventStreamClient(port: port, "/changefeed/stream?heartbeat_ms=500&from_seq=0", fields)
                defer { lastEventID = stream.lastEventID }
                guard stream.status == 200 else { throw ClientFailure("status \(stream.status)") }
                while let frame = try stream.next(milliseconds: 5_000) {
                    if state.withLock({ $0.isEnded }) { return }
                    if frame.event == "end" { isOrderly = frame.data?.contains("rotation") == true }
                    note(frame)
                }
            } catch {
                usleep(20_000)
            }
            if !isOrderly { state.withLock { $0.breaks += $0.isEnded ? 0 : 1 } }
        }
    }

    private func note(_ frame: ServerSentEvent) {
        guard let data = frame.data else { return }
        state.withLock { state in
            switch frame.event {
            case "hello", "end": break
            case "message":
                guard let event = ChangeEvent(text: data) else {
                    state.complaints.append("no change event: \(data)")
                    return
                }
                let expected = (state.events.last?.sequence ?? 0) + 1
                if event.sequence != expected { state.complaints.append("after \(expected - 1) came \(event.sequence)") }
                if frame.id?.hasSuffix(
                    "-" + String(repeating: "0", count: 20 - String(event.sequence).count) + String(event.sequence)) != true
                {
                    state.complaints.append("event \(event.sequence) has the id \(frame.id ?? "nil")")
                }
                state.events.append(event)
            default: state.complaints.append("an event \(frame.event): \(data)")
            }
        }
        state.notifyAll()
    }
}
