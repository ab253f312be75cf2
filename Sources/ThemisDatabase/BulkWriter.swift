import Synchronization
public import ThemisBase
import ThemisTelemetry

/// A stream of writes: prepared beside each other on the pool, ordered as they were submitted, each for itself.
///
/// Two writes to the same key happen in the order of the stream. Idempotency keys do not apply. Any thread may submit, one at a
/// time.
public final class BulkWriter: Sendable {
    private struct State {
        /// The next group to be numbered.
        var nextTicket: UInt64 = 0
        /// The next group to be handed to the committer.
        var nextTurn: UInt64 = 0
        var ready: [UInt64: PendingWrite] = [:]
        var isHandingOver = false
    }

    private let database: Database
    private let call: CallContext
    private let state = Mutex(State())

    /// A stream under `call`.
    public init(_ database: Database, _ call: CallContext = CallContext()) {
        self.database = database
        self.call = call
    }

    /// Submits the next operations of the stream, best 64–512 of them and not more than 1 MiB.
    ///
    /// The caller bounds how many groups are on their way. `completion` gets one result for each operation, in their order;
    /// groups are answered in the order of the stream, unless one is refused as a whole. On the committer's thread, or where
    /// the group was prepared.
    public func submit(
        _ operations: [WriteOperation], completion: @escaping @Sendable ([Result<OperationResult, ThemisError>]) -> Void
    ) {
        guard !operations.isEmpty else { return completion([]) }
        let ticket = state.withLock { state in
            defer { state.nextTicket += 1 }
            return state.nextTicket
        }
        database.options.execute { [self] in
            let write = PendingWrite(.group(completion), admitting: operations, call: call)
            prepare(operations, write)
            handOver(ticket, write)
        }
    }

    private func prepare(_ operations: [WriteOperation], _ write: PendingWrite) {
        let prepare = database.prepare
        var sound: [PreparedOperation] = []
        sound.reserveCapacity(operations.count)
        for operation in operations {
            do throws(ThemisError) {
                let prepared = try prepare.parse(operation)
                sound.append(prepared)
                write.operations.append(prepared)
            } catch {
                write.operations.append(PreparedOperation(refused: operation, error))
            }
        }
        do throws(ThemisError) {
            try prepare.base(sound)
        } catch {
            // Damage concerns only the key that it hits.
            for operation in sound {
                do throws(ThemisError) {
                    try prepare.base(operation)
                } catch {
                    operation.refusal = error
                }
            }
        }
    }

    /// Hands groups to the committer in the order of their tickets; one thread at a time does it.
    private func handOver(_ ticket: UInt64, _ write: PendingWrite) {
        state.withLock { $0.ready[ticket] = write }
        while true {
            let next: PendingWrite? = state.withLock { state in
                guard !state.isHandingOver, let next = state.ready.removeValue(forKey: state.nextTurn) else { return nil }
                state.nextTurn += 1
                state.isHandingOver = true
                return next
            }
            guard let next else { return }
            database.committer.submit(next)
            state.withLock { $0.isHandingOver = false }
        }
    }
}
