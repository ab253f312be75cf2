import ThemisBase
import ThemisTelemetry

/// The steps of a recorded write on the committer's side, as children of its call.
extension PendingWrite {
    /// Records a write that its batch brought to the disk: `commit` from the hand-over to the publication, and within it the time of the
    /// log, which all writes of the batch share.
    func record(_ batch: OpenBatch, isDurable: Bool) {
        guard let commit = beginCommit(batch) else { return }
        if batch.sentNanoseconds != 0 {
            commit.record(isDurable ? "fsync" : "append", from: batch.sentNanoseconds, to: batch.storedNanoseconds)
        }
        if !failures.isEmpty, let error = failures[0] { commit.fail(error.code.word) }
        commit.end()
    }

    /// Records a write whose batch did not reach the disk, or of which nobody knows.
    func record(_ batch: OpenBatch, error: ThemisError) {
        guard let commit = beginCommit(batch) else { return }
        commit.record("fsync", from: batch.sentNanoseconds, to: batch.storedNanoseconds, error: error.code.word)
        commit.fail(error.code.word)
        commit.end()
    }

    private func beginCommit(_ batch: OpenBatch) -> ActiveSpan? {
        guard let span = call.span, submittedNanoseconds != 0 else { return nil }
        let commit = span.child("commit", atNanoseconds: submittedNanoseconds)
        commit.set(.batchRecords, batch.records.count)
        if attempts > 0 { commit.set(.attempts, attempts) }
        return commit
    }
}
