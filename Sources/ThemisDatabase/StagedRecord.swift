import ThemisBase

/// A change record that is not in the batch yet: its transaction may still fail.
struct StagedRecord {
    /// What is written beside the record.
    enum Effect {
        case put(key: [UInt8], value: [UInt8])
        case delete(key: [UInt8])
        case meta([(key: [UInt8], value: [UInt8])])
        case none
    }

    let sequence: SequenceNumber
    let ordinal: UInt16
    var record: [UInt8]
    var effect: Effect
    /// Where the bytes came from.
    let operation: PreparedOperation?

    /// Returns the bytes to the operation, which will be ordered again.
    mutating func giveBack() {
        guard let operation else { return }
        operation.record = record
        if case .put(_, let value) = effect { operation.value = value }
        effect = .none
        record = []
    }
}

/// The texts of system records.
enum SystemText {
    /// `{"kind":…,"table":…,"id":…,"old_values":…,"default_ttl_seconds":…}`
    static func table(_ kind: StaticString, _ table: Table) -> [UInt8] {
        var text: [UInt8] = Array(#"{"kind":""#.utf8)
        text.append(contentsOf: "\(kind)".utf8)
        text.append(contentsOf: #"","table":"#.utf8)
        JSONText.appendString(table.name.text, to: &text)
        text.append(contentsOf: #","id":\#(table.id),"old_values":\#(table.settings.keepsOldValues)"#.utf8)
        text.append(contentsOf: #","default_ttl_seconds":\#(table.settings.defaultTTLSeconds)}"#.utf8)
        return text
    }
}
