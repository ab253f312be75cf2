import Foundation
import Testing
import ThemisBase
import ThemisDatabase
import ThemisTestKit

/// Transactions over several requests in the large model.
extension LargeModelTests.Run {
    /// Begins a transaction, writes and asks in it, lets others write meanwhile, and commits or rolls back.
    func transact() throws {
        if isUnique == nil || chance(2) { try fixture.finishAllJobs() }
        // An index may be replaced, and a new TTL index writes rows anew, while the transaction is open: a conflict with either is right.
        let isBusy = fixture.database.jobs().contains { $0.state == .running }
        let isUnique = isUnique ?? false
        let isolation: TransactionIsolation = chance(2) ? .snapshot : .serializable
        let transaction = try fixture.begin(isolation)
        let base = model
        var inside = model
        var written: Set<String> = []
        // Those of them that are there afterwards. What was deleted may have expired before: it is stored until it is swept.
        var alive: Set<String> = []
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let step = step()
            // Unique values are judged by the commit, which also begins the life of what was written.
            let wanted = inside.apply(step, LargeModel.Rules(), now, unique: false)
            let got = thrown { _ = try fixture.database.write(step.operation(), in: transaction.reference) }
            agree(got?.code, wanted, "in a transaction: \(step)")
            if wanted == nil {
                written.insert(step.key)
                if case .delete = step.change { alive.remove(step.key) } else { alive.insert(step.key) }
            }
            if chance(3) { try ask(transaction, inside) }
        }
        count("transactions")
        guard !chance(6) else { return try transaction.rollBack() }
        // Others write in between: in a transaction that is compared with what it has only read as well, that may be a conflict.
        var isConflict = false
        if isolation == .snapshot, chance(2) {
            let step = step()
            var probe = model
            let isDeleteOfNothing = if case .delete = step.change { model.visible(now)[step.key] == nil } else { false }
            let isDone = probe.apply(step, rules, now, unique: isUnique) == nil && !isDeleteOfNothing
            try write([step])
            guard !engine.isDead else { return }
            isConflict = isDone && written.contains(step.key)
        }
        // The sweep of what has expired is a change too.
        let seen = isolation == .serializable ? Set(base.rows.keys) : written
        let mayConflict = isBusy || seen.contains { base.rows[$0] != nil && base.visible(now)[$0] == nil }
        var after = model
        for key in written {
            // One that had expired and was written and deleted in here is not touched by the commit: it is stored until it is swept.
            let expired = model.visible(now)[key] == nil ? model.rows[key] : nil
            after.rows[key] = inside.rows[key] ?? expired
            if alive.contains(key), let row = inside.rows[key] { after.rows[key]?.expiresAt = rules.expiry(row.document, now) }
        }
        let (isTwice, mayBeTwice) = isUnique ? Self.twice(after, base, written, now) : (false, false)
        let error = thrown { _ = try transaction.commit() }
        if let error, let isDone = died(error) {
            if isDone, !isConflict, !isTwice { model = after }
            return
        }
        switch error?.code {
        case nil:
            #expect(!isConflict && !isTwice, "\(hint): a commit that should fail: \(written)")
            for key in written { after.rows[key]?.version = nil }
            model = after
        case .transactionConflict:
            #expect(isConflict || mayConflict, "\(hint): no conflict, \(isolation), \(written): \(error?.message ?? "")")
            count(isBusy && !isConflict ? "conflicts beside jobs" : "conflicts")
        case .uniqueViolation: #expect(isTwice || mayBeTwice, "\(hint): no value is there twice: \(written)")
        default: #expect(Bool(false), "\(hint): \(String(describing: error))")
        }
    }

    /// Asks a query in a transaction.
    private func ask(_ transaction: OpenTransaction, _ inside: LargeModel) throws {
        guard !inside.rows.isEmpty, fixture.database.table(TableName(stored: "t")) != nil else { return }
        guard case .object(let all) = world.query() else { return }
        let members =
            all.filter { !["limit", "order_by"].contains($0.name.text) } + [JSONMember("limit", 1_000), JSONMember("return", "keys")]
        let query = JSONValue.object(members)
        let found = try transaction.query(String(decoding: query.bytes, as: UTF8.self)).map { String($0.dropFirst(2)) }
        let expected = ReferenceQuery.keys(query, inside.visible(now).mapValues(\.document))
        #expect(Set(found) == expected && found.count == expected.count, "\(hint): in a transaction: \(query)")
        count("queries in transactions")
    }

    /// Whether two entities would have one `u` after the commit, and whether they might on the way there.
    private static func twice(
        _ after: LargeModel, _ base: LargeModel, _ written: Set<String>, _ now: Int64
    ) -> (certain: Bool, possible: Bool) {
        var isPossible = false
        for key in written {
            guard let row = after.rows[key], let value = row.document["u"], !value.isNull else { continue }
            if after.holder(of: value, besides: key, now) != nil {
                // One that expires with its commit may come before or behind the other.
                guard after.visible(now)[key] == nil else { return (true, true) }
                isPossible = true
            }
            if let holder = base.holder(of: value, besides: key, now), written.contains(holder) { isPossible = true }
        }
        return (false, isPossible)
    }
}
