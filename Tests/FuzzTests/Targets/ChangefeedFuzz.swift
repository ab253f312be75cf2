import ThemisBase
import ThemisNet
import ThemisRPC

@testable import ThemisFeed

/// Where a reader of the changefeed wants to begin, and what of it.
enum ChangefeedFuzz {
    /// A flag byte, a query, 0xFF, the header `Last-Event-ID`.
    static func check(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        let flags = input.byte()
        let query = input.part()
        let header = flags & 2 == 0 ? nil : String(decoding: input.all(), as: UTF8.self)
        if let header, let identifier = EventIdentifier(header) { try check(identifier) }
        let names = flags & 1 == 0 ? ChangefeedQuery.pageNames : ChangefeedQuery.streamNames
        guard let parameters = accepted({ try RequestTarget.parameters(query[...], allowed: names) }) else { return }
        let lookup: (String) -> String? = { name in parameters.first { $0.name == name }?.value }
        do throws(ThemisError) {
            let read = try ChangefeedQuery(lookup, lastEventID: header)
            try check(read, header)
        } catch {
            try require(error.code == .invalidRequest || error.code == .unprocessable, "refused by \(error)")
            try require(!error.fields.isEmpty, "refused without naming a parameter")
        }
    }

    private static func check(_ query: ChangefeedQuery, _ header: String?) throws(ThemisError) {
        let filter = query.subscription.filter
        let holds =
            (1...Limits.changefeedPage).contains(query.limit) && (0...Limits.longPollMilliseconds).contains(query.longPollMilliseconds)
            && (100...60_000).contains(query.subscription.heartbeatMilliseconds) && query.epoch.utf8.count <= 64
            && (filter.table.isEmpty || (try? TableName(validating: filter.table)) != nil) && !filter.keyPrefix.utf8.contains(0)
            && (1...86_400).contains(query.maxSeconds ?? 1)
        if !holds { throw ThemisError(.internalError, "out of bounds: \(query)") }
        if let header, let identifier = EventIdentifier(header), query.position != identifier.sequence {
            throw ThemisError(.internalError, "the header does not win")
        }
    }

    private static func check(_ identifier: EventIdentifier) throws {
        let again = EventIdentifier(identifier.text)
        try require(again?.sequence == identifier.sequence && again?.epoch == identifier.epoch, "an id does not round-trip")
        try require(!identifier.text.utf8.contains { $0 < 0x20 }, "a control byte in an id")
    }
}
