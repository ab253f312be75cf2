import Glibc
import Synchronization
public import ThemisBase
public import ThemisTelemetry

/// The side file `DURABLE`: how far history was durable, noted apart from the engine, so that a start can tell whether something
/// is gone.
///
/// The committer notes a sequence only after its commit was synced, so the mark never runs ahead of the data. A thread of the
/// mark's own writes it, at most once a second while it moves, so no commit waits for a second sync. Two slots are written in
/// turn: a torn write leaves the other one. Any thread.
public final class DurableMark: Sendable {
    /// A place in history.
    public struct Value: Sendable, Equatable {
        /// The epoch.
        public let epoch: UInt64
        /// The last durable sequence of that epoch.
        public let sequence: UInt64

        /// Puts the parts together.
        public init(epoch: UInt64, sequence: UInt64) {
            self.epoch = epoch
            self.sequence = sequence
        }
    }

    private struct State {
        var noted: Value?
        var written: Value?
        var counter: UInt64
        var hasFailed = false
    }

    /// Slots lie in different sectors.
    private static let slotBytes = 512
    private static let magic = Array("THEMISDM".utf8)

    /// What the file said when it was opened; nil in a new directory.
    public let recorded: Value?
    private let file: OpenFile
    private let state: Mutex<State>
    /// Held while the file is written.
    private let writing = Mutex(())
    private let ticker: IntervalThread
    private let log: Logger

    /// Opens the mark of `directory`, creating it when there is none.
    ///
    /// - Throws: `log_damaged` when the file is there and neither slot can be read.
    public init(in directory: DataDirectory, telemetry: Telemetry) throws(ThemisError) {
        let path = "\(directory.path)/DURABLE"
        do throws(SystemFailure) {
            if try FileSystem.contents(path) == nil {
                try FileSystem.replace("DURABLE", in: directory.path, with: [UInt8](repeating: 0, count: 2 * Self.slotBytes))
            }
            file = try OpenFile(path, O_RDWR)
        } catch { throw error.error }
        let bytes: [UInt8]
        do throws(SystemFailure) { bytes = try file.read(2 * Self.slotBytes, at: 0) } catch { throw error.error }
        let slots = [Self.decode(bytes, slot: 0), Self.decode(bytes, slot: 1)].compactMap { $0 }
        let newest = slots.max { $0.counter < $1.counter }
        guard newest != nil || bytes.allSatisfy({ $0 == 0 }) else {
            throw ThemisError(
                .logDamaged,
                "\(path) is damaged, so nobody can tell whether acknowledged writes are missing; restore a snapshot (--restore), "
                    + "or start once with --salvage")
        }
        recorded = newest?.value
        log = telemetry.log
        let counter = newest?.counter ?? 0
        state = Mutex(State(noted: newest?.value, written: newest?.value, counter: counter))
        ticker = IntervalThread(milliseconds: 1_000, time: telemetry.time)
        ticker.start { [weak self] in self?.flush() }
    }

    deinit { ticker.abandon() }

    /// Notes that everything up to `sequence` is durable: call it after the synced commit, never before.
    ///
    /// Cheap: the file is written later, at most once a second. A lower sequence of the same epoch is ignored.
    public func note(epoch: UInt64, sequence: UInt64) {
        let isMoved = state.withLock { state in
            if let noted = state.noted, noted.epoch == epoch, noted.sequence >= sequence { return false }
            state.noted = Value(epoch: epoch, sequence: sequence)
            return true
        }
        if isMoved { ticker.wake() }
    }

    /// Writes what was noted and not written yet. Blocks for one sync of the disk.
    public func flush() {
        writing.withLock { _ in
            let next = state.withLock { state -> (value: Value, counter: UInt64)? in
                guard let noted = state.noted, noted != state.written else { return nil }
                return (noted, state.counter + 1)
            }
            guard let next else { return }
            do throws(SystemFailure) {
                try file.write(Self.encode(next.value, next.counter), at: Int(next.counter % 2) * Self.slotBytes)
                try file.sync()
                state.withLock { state in
                    state.written = next.value
                    state.counter = next.counter
                }
            } catch {
                // The data itself is safe; only the check of a later start is weaker.
                let isFirst = state.withLock { state in
                    defer { state.hasFailed = true }
                    return !state.hasFailed
                }
                if isFirst { log.error("durable mark cannot be written", [(.error, error.text)]) }
            }
        }
    }

    /// Writes what is left and ends the thread. Idempotent.
    public func close() {
        ticker.stop()
        flush()
    }

    private static func encode(_ value: Value, _ counter: UInt64) -> [UInt8] {
        var bytes = magic
        bytes.appendLittleEndian(counter)
        bytes.appendLittleEndian(value.epoch)
        bytes.appendLittleEndian(value.sequence)
        bytes.appendLittleEndian(Digest.crc32c(bytes))
        return bytes
    }

    private static func decode(_ bytes: [UInt8], slot: Int) -> (value: Value, counter: UInt64)? {
        let start = slot * slotBytes
        guard bytes.count >= start + 36 else { return nil }
        var reader = ByteReader(bytes, in: start..<(start + 36))
        guard let head = reader.take(8), head.elementsEqual(magic), let counter = reader.littleEndian(UInt64.self),
            let epoch = reader.littleEndian(UInt64.self), let sequence = reader.littleEndian(UInt64.self),
            let crc = reader.littleEndian(UInt32.self), crc == Digest.crc32c(Array(bytes[start..<(start + 32)]))
        else { return nil }
        return (Value(epoch: epoch, sequence: sequence), counter)
    }
}
