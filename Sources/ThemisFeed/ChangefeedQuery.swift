import ThemisBase
import ThemisRPC

/// The query parameters of the changefeed routes, read once and proved. Every wrong one is named, not only the first.
struct ChangefeedQuery {
    /// Names that GET /changefeed understands.
    static let pageNames = [
        "from_seq", "limit", "long_poll_ms", "key_prefix", "table", "types", "document", "old", "format", "epoch", "cursor",
    ]
    /// Names that GET /changefeed/stream understands.
    static let streamNames = [
        "from_seq", "last_event_id", "key_prefix", "table", "types", "document", "old", "format", "epoch", "heartbeat_ms", "max_seconds",
    ]

    /// Epochs are short; a longer text is none.
    private static let epochBytes = 64

    /// Where to begin; nil for the newest record.
    var position: SequenceNumber? = 0
    /// The epoch that `position` counts in; empty when the caller does not say.
    var epoch = ""
    var limit = 100
    var longPollMilliseconds = 0
    var maxSeconds: Int?
    var subscription = Subscription()

    private var errors: [FieldError] = []
    private let value: (String) -> String?

    /// Reads by `value`, which gives the decoded text of a parameter.
    ///
    /// - Throws: `invalid_request` naming every parameter that is wrong; `unprocessable` for `old=true` without a table.
    init(_ value: @escaping (String) -> String?, lastEventID: String?) throws(ThemisError) {
        self.value = value
        readPosition(lastEventID: lastEventID)
        limit = number("limit", 1...Limits.changefeedPage) ?? limit
        longPollMilliseconds = number("long_poll_ms", 0...Limits.longPollMilliseconds) ?? 0
        maxSeconds = number("max_seconds", 1...86_400)
        subscription.heartbeatMilliseconds = Int64(number("heartbeat_ms", 100...60_000) ?? 15_000)
        readFilter()
        subscription.format.embedsDocument = flag("document")
        subscription.format.includesOldValue = flag("old")
        readFormat()
        guard errors.isEmpty else {
            throw ThemisError(.invalidRequest, errors.map { "\($0.field): \($0.message)" }.joined(separator: "; "), fields: errors)
        }
        if subscription.format.includesOldValue, subscription.filter.table.isEmpty {
            throw ThemisError(
                .unprocessable, "old=true needs table=: only tables with cdc.old_values keep the value before a change",
                fields: [FieldError("table", "name the table whose old values are wanted")])
        }
    }

    private mutating func readPosition(lastEventID: String?) {
        if let text = value("epoch") {
            // Whether it is the current one is for the core to say: another one is a loss to be told, not a mistake of form.
            if !(1...Self.epochBytes).contains(text.utf8.count) {
                errors.append(FieldError("epoch", "must have 1–\(Self.epochBytes) bytes"))
            }
            epoch = text
        }
        // The header of a reconnecting browser is newer than the address it was given.
        let identifiers = [("Last-Event-ID", lastEventID), ("last_event_id", value("last_event_id")), ("cursor", value("cursor"))]
        if let (name, text) = identifiers.first(where: { $0.1 != nil && $0.1 != "" }), let text {
            guard let identifier = EventIdentifier(text) else {
                return errors.append(FieldError(name, "not an id that this server gave out"))
            }
            position = identifier.sequence
            epoch = identifier.epoch
            subscription.passedOrdinal = identifier.ordinal
            return
        }
        guard let text = value("from_seq") else { return }
        if text == "now" {
            position = nil
        } else if let sequence = Self.digits(text) {
            position = sequence
        } else {
            errors.append(FieldError("from_seq", "must be a sequence (0 or more) or `now`"))
        }
    }

    private mutating func readFilter() {
        if let text = value("table") {
            do throws(ThemisError) {
                subscription.filter.table = try TableName(validating: text).text
            } catch {
                errors.append(FieldError("table", error.message))
            }
        }
        if let text = value("key_prefix") {
            if text.utf8.count > Limits.tableNameBytes + 1 + Limits.primaryKeyBytes || text.utf8.contains(0) {
                errors.append(FieldError("key_prefix", "longer than any key, or holds a zero byte"))
            }
            subscription.filter.keyPrefix = text
        }
        guard let text = value("types") else { return }
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            switch word {
            case "PUT": subscription.filter.kinds.insert(.put)
            case "DELETE": subscription.filter.kinds.insert(.delete)
            case "SYSTEM": subscription.filter.kinds.insert(.system)
            default: return errors.append(FieldError("types", "must be a list of PUT, DELETE and SYSTEM"))
            }
        }
        // Asking for all data is asking for nothing special.
        if subscription.filter.kinds == [.put, .delete] { subscription.filter.kinds = [] }
    }

    private mutating func readFormat() {
        switch value("format") {
        case nil, "json": break
        case "cloudevents": subscription.format.isCloudEvent = true
        default: errors.append(FieldError("format", "must be `json` or `cloudevents`"))
        }
    }

    private mutating func flag(_ name: String) -> Bool {
        switch value(name) {
        case nil, "false": return false
        case "true": return true
        default:
            errors.append(FieldError(name, "must be `true` or `false`"))
            return false
        }
    }

    private mutating func number(_ name: String, _ range: ClosedRange<Int>) -> Int? {
        guard let text = value(name) else { return nil }
        guard let number = Self.digits(text), let small = Int(exactly: number), range.contains(small) else {
            errors.append(FieldError(name, "must be a number of \(range.lowerBound)–\(range.upperBound)"))
            return nil
        }
        return small
    }

    private static func digits(_ text: String) -> UInt64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt64(text)
    }
}
