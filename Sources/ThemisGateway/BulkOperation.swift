import ThemisBase
import ThemisRPC

extension OperationMessage {
    /// The operation that a line of a bulk request asks for, and its proved key.
    ///
    /// - Throws: what the line's envelope is refused for; `precondition_failed` when its condition can never hold.
    static func read(
        line bytes: [UInt8], in range: Range<Int>
    ) throws(ThemisError) -> (operation: OperationMessage, key: EntityKey) {
        let envelope = try envelope(bytes, range)
        return (try OperationMessage(envelope, in: bytes), envelope.key)
    }

    /// The operation of an envelope that was read from `bytes`.
    ///
    /// - Throws: `precondition_failed` when its condition can never hold.
    init(_ envelope: JSONEnvelope, in bytes: [UInt8]) throws(ThemisError) {
        let kind: OperationKind =
            switch envelope.operation {
            case .put: .put
            case .patch: envelope.patchFormat == .operations ? .jsonPatch : .mergePatch
            case .delete: .delete
            }
        var condition = OperationCondition.none
        if envelope.ifAbsent { condition = .absent }
        if envelope.ifExists { condition = .exists }
        if let text = envelope.ifMatch { condition = try OperationCondition.read(memberIfMatch: text) }
        self.init(
            kind: kind, table: envelope.key.table.text, pk: envelope.key.pk, body: Array(bytes[envelope.payload]), condition: condition)
    }

    private static func envelope(_ bytes: [UInt8], _ range: Range<Int>) throws(ThemisError) -> JSONEnvelope {
        do throws(ThemisError) {
            return try JSONEnvelope.line(bytes, in: range)
        } catch {
            // Read once more by itself: the caller counts from the beginning of its line, not from that of our buffer.
            guard error.code == .invalidJSON else { throw error }
            return try JSONEnvelope.line(Array(bytes[range]))
        }
    }
}
