import ThemisBase
import ThemisStorage

/// Whether the order of expiry and the entities belong together.
extension Database {
    /// Keys that are looked at together.
    private static let lookedUpTogether = 256

    /// Looks for the keys that entities of `table` should have.
    func check(
        expiries keys: [[UInt8]], _ table: Table, _ view: ReadView, _ report: inout VerificationReport
    ) throws(ThemisError) {
        guard !keys.isEmpty else { return }
        for (key, value) in zip(keys, try view.snapshot.multiGet(.indexes, keys)) where value == nil {
            report.missing += 1
            report.add(faultyExpiry: key)
            report.name("the order of expiry misses an entity of \(table.name.text)")
        }
    }

    /// Looks for keys that belong to no entity of `table`.
    func checkStrayExpiries(_ table: Table, _ view: ReadView, _ report: inout VerificationReport) throws(ThemisError) {
        let cursor = try view.snapshot.scan(
            .indexes, from: ExpiryKey.lowerBound(table: table.id), to: ExpiryKey.lowerBound(table: table.id + 1), reverse: false)
        var isAtEnd = false
        while !isAtEnd {
            var keys: [(key: [UInt8], entity: [UInt8], expiresAt: Int64)] = []
            while keys.count < Self.lookedUpTogether, !isAtEnd {
                guard try cursor.advance() else {
                    isAtEnd = true
                    break
                }
                let (entity, expiresAt) = try ExpiryKey.parts(of: cursor.key)
                keys.append((cursor.key, entity, expiresAt))
            }
            for (key, value) in zip(keys, try view.snapshot.multiGet(.entities, keys.map(\.entity))) {
                let state = try StoredState(stored: value)
                guard !state.isStored || state.expiresAt != key.expiresAt else { continue }
                report.dangling += 1
                report.add(faultyExpiry: key.key)
                report.name("the order of expiry of \(table.name.text) has a key of no entity")
            }
            try view.check()
        }
    }

    /// Makes the order of expiry right again at `keys`.
    func mend(_ keys: [[UInt8]]) throws(ThemisError) {
        var rest = keys[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(Self.lookedUpTogether))
            rest = rest.dropFirst(piece.count)
            try committer.run { stage throws(ThemisError) in try stage.mendExpiry(piece) }
        }
    }
}
