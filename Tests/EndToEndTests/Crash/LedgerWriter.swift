import Foundation
import ThemisBase
import ThemisTestKit

/// One write of the crash test. Its number is in the document, so that a change record names the write it came from.
struct LedgerWrite: Sendable {
    enum Kind: CaseIterable { case put, patch, delete }

    let kind: Kind
    let key: String
    let number: UInt64
}

/// What a client of the database may believe, kept by one writer thread over its own keys.
struct WriterLedger {
    /// Acknowledged writes that no check has seen yet, by their sequence.
    var acknowledged: [UInt64: LedgerWrite] = [:]
    /// Writes of which the server said that they are not committed.
    var refused: [LedgerWrite] = []
    /// Writes whose outcome nobody said.
    var undecided: [LedgerWrite] = []
    /// Keys that hold a document, with its number and version.
    var held: [String: (number: UInt64, version: String)] = [:]
    /// What must never happen, in words.
    var complaints: [String] = []
    /// How often a connection broke instead of giving an answer.
    var brokenConnections = 0
}

/// Lets all writers run, stops them between two writes, counts what they achieve. Any thread.
final class WriterGate: Sendable {
    private struct State {
        var isOpen = false
        var isEnded = false
        var active = 0
        var acknowledged = 0
    }

    private let state = Monitor(State())

    /// Waits for permission to write once; false when the test is over.
    func enter() -> Bool {
        state.wait { state -> Bool? in
            if state.isEnded { return false }
            guard state.isOpen else { return nil }
            state.active += 1
            return true
        }
    }

    /// Ends what `enter` began.
    func leave(isAcknowledged: Bool) {
        state.withLock {
            $0.active -= 1
            if isAcknowledged { $0.acknowledged += 1 }
        }
        state.notifyAll()
    }

    func open() {
        state.withLock { $0.isOpen = true }
        state.notifyAll()
    }

    /// Closes and waits until nobody is between `enter` and `leave`.
    func close() {
        state.withLock { $0.isOpen = false }
        state.wait { $0.active == 0 ? () : nil }
    }

    func end() {
        state.withLock { $0.isEnded = true }
        state.notifyAll()
    }

    var acknowledged: Int { state.withLock { $0.acknowledged } }

    /// Waits until `count` writes are acknowledged; false when that takes longer than `seconds`.
    func waitFor(_ count: Int, seconds: Int64) -> Bool {
        state.wait(milliseconds: seconds * 1_000) { $0.acknowledged >= count ? true : nil } ?? false
    }
}

/// One of the clients of the crash test: a thread that writes to keys of its own and believes only what it was answered.
///
/// Every second one sends an idempotency key and repeats a write until it hears an answer: such a write must happen exactly once.
final class LedgerWriter: Sendable {
    static let keysEach = 8

    let ledger = Monitor(WriterLedger())
    let keys: [String]
    private let name: String
    /// Whether it sends idempotency keys and repeats a write until it hears an answer.
    let repeatsUntilHeard: Bool
    private let port: UInt16
    private let gate: WriterGate
    private let thread = Monitor<WorkThread?>(nil)

    init(index: Int, port: UInt16, gate: WriterGate) {
        name = "w\(index)"
        keys = (0..<Self.keysEach).map { "crash:w\(index)/\($0)" }
        repeatsUntilHeard = index % 2 == 0
        self.port = port
        self.gate = gate
    }

    func start(seed: UInt64) {
        let body = WorkThread(name: name) { self.run(SeededRandom(seed: seed)) }
        thread.withLock { $0 = body }
    }

    func join() { thread.withLock { $0 }?.join() }

    private func run(_ seeded: SeededRandom) {
        var random = seeded
        var number: UInt64 = 0
        let client = HTTPClient(port: port, milliseconds: 40_000)
        while gate.enter() {
            let unheard = repeatsUntilHeard ? ledger.withLock { $0.undecided.last } : nil
            guard let write = unheard ?? nextWrite(&number, &random) else {
                gate.leave(isAcknowledged: false)
                usleep(2_000)
                continue
            }
            let isAcknowledged = perform(write, client)
            gate.leave(isAcknowledged: isAcknowledged)
            // The core is away: a client that waits a little finds it sooner than one that hammers.
            if !isAcknowledged { usleep(UInt32.random(in: 1_000...10_000, using: &random)) }
        }
    }

    /// A write to a key of which this writer knows the state; nil when it knows none.
    private func nextWrite(_ number: inout UInt64, _ random: inout SeededRandom) -> LedgerWrite? {
        let (held, unknown) = ledger.withLock { ($0.held, Set($0.undecided.map(\.key))) }
        guard let key = keys.filter({ !unknown.contains($0) }).randomElement(using: &random) else { return nil }
        number += 1
        let kind =
            held[key] == nil ? LedgerWrite.Kind.put : [.put, .put, .patch, .patch, .delete].randomElement(using: &random) ?? .put
        return LedgerWrite(kind: kind, key: key, number: number)
    }

    private func perform(_ write: LedgerWrite, _ client: HTTPClient) -> Bool {
        let target = "/entities/" + write.key.replacingOccurrences(of: "/", with: "%2F")
        let fields = repeatsUntilHeard ? ["Idempotency-Key": "\(name)-\(write.number)"] : [:]
        do {
            let answer =
                switch write.kind {
                case .put: try client.put(target, "{\"number\":\(write.number),\"writer\":\"\(name)\",\"kind\":\"put\"}", fields)
                case .patch: try client.patch(target, "{\"number\":\(write.number),\"patched\":true}", fields)
                case .delete: try client.send("DELETE", target, fields)
                }
            return note(write, answer)
        } catch {
            ledger.withLock {
                $0.brokenConnections += 1
                if !$0.undecided.contains(where: { $0.number == write.number }) { $0.undecided.append(write) }
            }
            return false
        }
    }

    /// Writes an answer into the ledger; true when it acknowledges the write.
    private func note(_ write: LedgerWrite, _ answer: HTTPAnswer) -> Bool {
        ledger.withLock { ledger in
            let wasUndecided = ledger.undecided.contains { $0.number == write.number }
            if answer.status == 200 || answer.status == 201 {
                guard let sequence = answer.number("sequence"), let version = answer["etag"] ?? (write.kind == .delete ? "" : nil)
                else {
                    ledger.complaints.append("\(write): an acknowledgement without sequence or version: \(answer.text)")
                    return true
                }
                ledger.undecided.removeAll { $0.number == write.number }
                ledger.acknowledged[sequence] = write
                ledger.held[write.key] = write.kind == .delete ? nil : (write.number, version)
                return true
            }
            let outcome = answer.json["outcome"] as? String
            guard answer.status == 503 || answer.status == 504, let outcome else {
                ledger.complaints.append("\(write): \(answer.status) \(answer.text)")
                return false
            }
            // An earlier attempt may have been committed; that this one was not says nothing about it.
            if outcome == "not_committed" && !wasUndecided {
                ledger.refused.append(write)
            } else if !wasUndecided {
                ledger.undecided.append(write)
            }
            return false
        }
    }
}
