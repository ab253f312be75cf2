import ThemisBase
import ThemisNet
import ThemisRPC

/// How change records look to a reader of the feed.
///
/// The default is what the shared ring holds ready-made; every other form is encoded for the reader that asked for it.
struct EventFormat: Equatable, Sendable {
    /// The value as JSON instead of JSON text (`document=true`).
    var embedsDocument = false
    /// The value before the change as well (`old=true`).
    var includesOldValue = false
    /// CloudEvents 1.0 in structured JSON form (`format=cloudevents`).
    var isCloudEvent = false

    /// The form that the ring holds.
    static let standard = EventFormat()

    /// Appends the event as one JSON object.
    func append(_ change: ChangeMessage, epoch: String, to out: inout [UInt8]) {
        guard isCloudEvent else { return appendEvent(change, to: &out) }
        let kind = change.isDelete ? "delete" : change.isSystem ? "system" : "put"
        out.append(contentsOf: #"{"specversion":"1.0","id":""#.utf8)
        out.append(contentsOf: EventIdentifier(epoch: epoch, of: change).text.utf8)
        out.append(contentsOf: #"","source":"/themis/tables/"#.utf8)
        out.append(contentsOf: change.table.utf8)
        out.append(contentsOf: #"","type":"themis.entity.\#(kind)","subject":"#.utf8)
        JSONText.appendString("\(change.table):\(change.pk)", to: &out)
        out.append(contentsOf: #","time":""#.utf8)
        out.append(contentsOf: Timestamp.text(milliseconds: change.timestampMilliseconds).utf8)
        out.append(contentsOf: #"","sequence":""#.utf8)
        out.append(contentsOf: EventIdentifier.padded(change.sequence).utf8)
        out.append(contentsOf: #"","datacontenttype":"application/json","data":"#.utf8)
        appendEvent(change, to: &out)
        out.append(0x7D)
    }

    private func appendEvent(_ change: ChangeMessage, to out: inout [UInt8]) {
        out.append(contentsOf: #"{"sequence":\#(change.sequence),"type":""#.utf8)
        out.append(contentsOf: (change.isDelete ? "DELETE" : change.isSystem ? "SYSTEM" : "PUT").utf8)
        out.append(contentsOf: #"","key":"#.utf8)
        JSONText.appendString("\(change.table):\(change.pk)", to: &out)
        out.append(contentsOf: #","value":"#.utf8)
        append(value: change.isDelete ? nil : change.value, to: &out)
        if includesOldValue, change.hasOldValue {
            out.append(contentsOf: #","old_value":"#.utf8)
            append(value: change.oldValue, to: &out)
        }
        out.append(contentsOf: #","timestamp_ms":\#(change.timestampMilliseconds),"metadata":{"table":""#.utf8)
        out.append(contentsOf: change.table.utf8)
        out.append(contentsOf: #"","pk":"#.utf8)
        JSONText.appendString(change.pk, to: &out)
        out.append(
            contentsOf: #","version":\#(change.version),"txn":{"index":\#(change.transactionIndex),"count":\#(change.transactionCount)}"#
                .utf8)
        if change.ordinal > 0 { out.append(contentsOf: #","ordinal":\#(change.ordinal)"#.utf8) }
        if let cause = change.causeWord {
            out.append(contentsOf: #","cause":""#.utf8)
            out.append(contentsOf: cause.utf8)
            out.append(0x22)
        }
        out.append(contentsOf: "}}".utf8)
    }

    private func append(value: [UInt8]?, to out: inout [UInt8]) {
        guard let value else { return out.append(contentsOf: "null".utf8) }
        if !embedsDocument { return JSONText.appendString(utf8: value, to: &out) }
        // Line ends between tokens are legal JSON, but would end an SSE data line: spaces mean the same. Inside strings they are escaped.
        for byte in value { out.append(byte == 0x0A || byte == 0x0D ? 0x20 : byte) }
    }
}

extension ChangeMessage {
    /// Whether the entity was removed.
    var isDelete: Bool { kind == .delete }
    /// Whether this is a schema or feature record.
    var isSystem: Bool { kind == .system }

    /// The word for a cause that is not a plain request.
    var causeWord: String? {
        switch cause {
        case .request: nil
        case .ttl: "ttl"
        case .table: "table"
        case .range: "range_delete"
        }
    }
}

/// The id of an event: opaque to clients, `<epoch>-<20-digit sequence>` to us. Sorts as the sequence does.
///
/// A system record has no sequence of its own; it hangs at the data record before it and adds `.<ordinal>`, so that a reader which leaves
/// behind one of several is not shown it again.
struct EventIdentifier: Equatable, Sendable {
    /// The epoch of the history that the sequence counts in.
    let epoch: String
    /// The position.
    let sequence: SequenceNumber
    /// Which of the system records at `sequence`, from 1; 0 for the data record itself.
    let ordinal: UInt32

    /// Puts an id together.
    init(epoch: String, sequence: SequenceNumber, ordinal: UInt32 = 0) {
        self.epoch = epoch
        self.sequence = sequence
        self.ordinal = ordinal
    }

    /// The id of a record.
    init(epoch: String, of change: ChangeMessage) { self.init(epoch: epoch, sequence: change.sequence, ordinal: change.ordinal) }

    /// Takes an id apart; nil when it is none of ours.
    init?(_ text: String) {
        guard text.utf8.count <= Self.longestText, let dash = text.utf8.lastIndex(of: 0x2D) else { return nil }
        let numbers = text[text.utf8.index(after: dash)...].split(separator: ".", omittingEmptySubsequences: false)
        guard numbers.count <= 2, let sequence: SequenceNumber = Self.number(numbers[0], digits: 20) else { return nil }
        let ordinal: UInt32? = numbers.count == 2 ? Self.number(numbers[1], digits: 5) : 0
        guard let ordinal else { return nil }
        let epoch = text[..<dash]
        guard (1...Self.longestEpoch).contains(epoch.utf8.count),
            epoch.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { return nil }
        self.init(epoch: String(epoch), sequence: sequence, ordinal: ordinal)
    }

    /// Ours have 16 digits of epoch; a client may send anything.
    private static let longestText = 64
    /// With a dash, 20 digits and `.` with 5 digits it is an id that can be read again.
    private static let longestEpoch = longestText - 27

    private static func number<Value: FixedWidthInteger>(_ text: Substring, digits: Int) -> Value? {
        guard !text.isEmpty, text.utf8.count <= digits, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Value(text)
    }

    /// The id's text.
    var text: String { "\(epoch)-\(Self.padded(sequence))" + (ordinal > 0 ? ".\(ordinal)" : "") }

    /// Twenty digits.
    static func padded(_ sequence: SequenceNumber) -> String {
        let digits = String(sequence)
        return String(repeating: "0", count: 20 - digits.utf8.count) + digits
    }
}
