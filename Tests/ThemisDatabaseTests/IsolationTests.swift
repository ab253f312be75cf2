import Foundation
import Testing
import ThemisBase
import ThemisDatabase

/// What transactions over several requests are protected from, one guarantee each.
@Suite struct IsolationTests {
    @Test func `own writes are seen by reads, lists and queries, and by nobody else before the commit`() throws {
        let fixture = try DatabaseFixture()
        try fixture.index("range", "n")
        for number in 1...4 { try fixture.put("t:\(number)", #"{"n":\#(number)}"#) }
        let transaction = try fixture.begin()
        try transaction.put("t:2", #"{"n":20}"#)
        try transaction.delete("t:3")
        try transaction.put("t:25", #"{"n":2}"#)
        try transaction.patch("t:4", #"{"x":1}"#)
        #expect(try transaction.get("t:2") == #"{"n":20}"#)
        #expect(try transaction.get("t:3") == nil)
        #expect(try transaction.get("t:4") == #"{"n":4,"x":1}"#)
        #expect(try transaction.list("t") == ["1", "2", "25", "4"])
        #expect(try transaction.list("t", reverse: true) == ["4", "25", "2", "1"])
        #expect(try transaction.list("t", prefix: "2") == ["2", "25"])
        let all = #"{"table":"t","range":[{"column":"n","gte":0}],"return":"keys"}"#
        #expect(try transaction.query(all) == ["t:1", "t:25", "t:4", "t:2"])
        let down = #"{"table":"t","range":[{"column":"n","gte":0}],"order_by":{"column":"n","desc":true},"limit":2,"return":"keys"}"#
        #expect(try transaction.query(down) == ["t:2", "t:4"])
        let old = #"{"table":"t","predicates":[{"column":"n","op":"in","value":[2,3]}],"return":"keys"}"#
        #expect(try transaction.query(old) == ["t:25"])
        let scan = #"{"table":"t","predicates":[{"column":"x","value":1}],"allow_full_scan":true,"return":"keys"}"#
        #expect(try transaction.query(scan) == ["t:4"])
        #expect(try fixture.document("t:2") == #"{"n":2}"#)
        #expect(try fixture.keys(all) == ["1", "2", "3", "4"])
        try transaction.commit()
        #expect(try fixture.keys(all) == ["1", "25", "4", "2"])
        #expect(try fixture.document("t:3") == nil)
    }

    @Test func `a transaction reads the state of its beginning`() throws {
        let fixture = try DatabaseFixture()
        try fixture.index("range", "n")
        try fixture.put("t:1", #"{"n":1}"#)
        let transaction = try fixture.begin(.snapshot)
        try fixture.put("t:1", #"{"n":2}"#)
        try fixture.put("t:2", #"{"n":1}"#)
        #expect(try transaction.get("t:1") == #"{"n":1}"#)
        #expect(try transaction.list("t") == ["1"])
        #expect(try transaction.query(#"{"table":"t","predicates":[{"column":"n","value":1}],"return":"keys"}"#) == ["t:1"])
        #expect(try transaction.query(#"{"table":"t","predicates":[{"column":"n","value":2}],"return":"keys"}"#) == [])
    }

    @Test(arguments: TransactionIsolation.allCases)
    func `of two transactions that write the same entity one commits`(isolation: TransactionIsolation) throws {
        let fixture = try DatabaseFixture()
        try fixture.put("t:1", #"{"n":0}"#)
        let (first, second) = (try fixture.begin(isolation), try fixture.begin(isolation))
        for transaction in [first, second] {
            let number = try #require(try transaction.number("t:1"))
            try transaction.put("t:1", #"{"n":\#(number + 1)}"#)
        }
        try first.commit()
        let error = thrown { try second.commit() }
        #expect(error?.code == .transactionConflict)
        #expect(error?.code.status == 409 && error?.code.isRetryable == true)
        #expect(error?.outcome == .notCommitted)
        #expect(try fixture.document("t:1") == #"{"n":1}"#)
        #expect(errorCode { _ = try second.get("t:1") } == .transactionExpired)
    }

    @Test(arguments: TransactionIsolation.allCases)
    func `a plain write counts as a transaction that committed`(isolation: TransactionIsolation) throws {
        let fixture = try DatabaseFixture()
        try fixture.put("t:1", "{}")
        let transaction = try fixture.begin(isolation)
        try transaction.put("t:1", "{}")
        try fixture.patch("t:1", merge: #"{"x":1}"#)
        #expect(errorCode { try transaction.commit() } == .transactionConflict)
    }

    @Test(arguments: TransactionIsolation.allCases)
    func `write skew is refused in serializable and allowed in snapshot`(isolation: TransactionIsolation) throws {
        let fixture = try DatabaseFixture()
        for key in ["t:a", "t:b"] { try fixture.put(key, #"{"n":1}"#) }
        let (first, second) = (try fixture.begin(isolation), try fixture.begin(isolation))
        for (transaction, key) in [(first, "t:a"), (second, "t:b")] {
            let sum = try ["t:a", "t:b"].reduce(0) { try $0 + (transaction.number($1) ?? 0) }
            #expect(sum == 2)
            try transaction.put(key, #"{"n":0}"#)
        }
        try first.commit()
        #expect(errorCode { try second.commit() } == (isolation == .serializable ? .transactionConflict : nil))
    }

    @Test func `what a transaction read and others left alone does not stop it`() throws {
        let fixture = try DatabaseFixture()
        try fixture.index("range", "n")
        for number in 1...9 { try fixture.put("t:\(number)", #"{"n":\#(number)}"#) }
        let transaction = try fixture.begin()
        _ = try transaction.get("t:1")
        _ = try transaction.query(#"{"table":"t","range":[{"column":"n","gte":2,"lte":4}],"return":"keys"}"#)
        #expect(try transaction.list("t", limit: 3) == ["1", "2", "3"])
        try transaction.put("t:out", "{}")
        try fixture.put("t:9", #"{"n":90}"#)
        try fixture.put("t:55", #"{"n":55}"#)
        try transaction.commit()
    }

    @Test(arguments: ["insert", "delete", "replace"])
    func `a phantom in a range of keys is refused`(change: String) throws {
        let fixture = try DatabaseFixture()
        for number in [1, 3, 5, 7] { try fixture.put("t:\(number)", "{}") }
        let transaction = try fixture.begin()
        #expect(try transaction.list("t", limit: 2) == ["1", "3"])
        try transaction.put("other:1", "{}")
        // Behind what was read: no conflict.
        try fixture.put("t:6", "{}")
        switch change {
        case "insert": try fixture.put("t:2", "{}")
        case "delete": try fixture.delete("t:3")
        default: try fixture.put("t:1", #"{"x":1}"#)
        }
        let error = thrown { try transaction.commit() }
        #expect(error?.code == .transactionConflict)
        #expect(error?.members.contains { $0.name == "key" } == true)
    }

    @Test func `a phantom in an empty range of keys is refused`() throws {
        let fixture = try DatabaseFixture()
        try fixture.put("t:a1", "{}")
        let transaction = try fixture.begin()
        #expect(try transaction.list("t", prefix: "b").isEmpty)
        try transaction.put("t:a2", "{}")
        try fixture.put("t:c1", "{}")
        try fixture.put("t:b1", "{}")
        #expect(errorCode { try transaction.commit() } == .transactionConflict)
    }

    @Test(arguments: [
        (#"{"op":"put","n":5,"k":"t:new"}"#, true), (#"{"op":"put","n":50,"k":"t:new"}"#, false),
        (#"{"op":"put","n":5,"k":"t:9"}"#, true), (#"{"op":"put","n":50,"k":"t:4"}"#, true), (#"{"op":"delete","k":"t:4"}"#, true),
        (#"{"op":"delete","k":"t:9"}"#, false),
    ])
    func `a phantom in a range of an index is refused`(change: String, isConflict: Bool) throws {
        let fixture = try DatabaseFixture()
        try fixture.index("range", "n")
        for number in [1, 4, 9] { try fixture.put("t:\(number)", #"{"n":\#(number)}"#) }
        let transaction = try fixture.begin()
        let found = try transaction.query(#"{"table":"t","range":[{"column":"n","gte":3,"lt":6}],"return":"keys"}"#)
        #expect(found == ["t:4"])
        try transaction.put("out:1", #"{"count":1}"#)
        let fields = try JSONValue(parsing: Array(change.utf8))
        let key = try #require(fields["k"]?.stringValue)
        if let number = fields["n"]?.int64Value { try fixture.put(key, #"{"n":\#(number)}"#) } else { try fixture.delete(key) }
        #expect(errorCode { try transaction.commit() } == (isConflict ? .transactionConflict : nil))
    }

    @Test func `a row that a query read and dropped by its filter counts as read`() throws {
        let fixture = try DatabaseFixture()
        try fixture.index("equality", "city")
        try fixture.put("t:1", #"{"city":"a","age":1}"#)
        let transaction = try fixture.begin()
        let query = #"{"table":"t","predicates":[{"column":"city","value":"a"},{"column":"age","value":2}],"return":"keys"}"#
        #expect(try transaction.query(query).isEmpty)
        try transaction.put("out:1", "{}")
        // Its index entry does not change.
        try fixture.put("t:1", #"{"city":"a","age":2}"#)
        #expect(errorCode { try transaction.commit() } == .transactionConflict)
    }

    @Test func `an index that is built anew or dropped ends the transactions that used it`() throws {
        for isDropped in [true, false] {
            let fixture = try DatabaseFixture()
            try fixture.index("range", "n")
            try fixture.put("t:1", #"{"n":1}"#)
            let transaction = try fixture.begin()
            _ = try transaction.query(#"{"table":"t","range":[{"column":"n","gte":3}],"return":"keys"}"#)
            try transaction.put("t:2", "{}")
            let table = try TableName(validating: "t")
            if isDropped {
                _ = try fixture.database.dropIndex(table, columns: [JSONPath("n")])
            } else {
                try fixture.finish(fixture.database.rebuildIndex(table, columns: [JSONPath("n")]))
            }
            try fixture.put("t:9", #"{"n":9}"#)
            #expect(errorCode { try transaction.commit() } == .transactionConflict)
        }
    }

    @Test(arguments: TransactionIsolation.allCases)
    func `a table that is dropped, emptied or made meanwhile is a conflict`(isolation: TransactionIsolation) throws {
        let fixture = try DatabaseFixture()
        let name = try TableName(validating: "t")
        try fixture.put("t:1", "{}")
        var transaction = try fixture.begin(isolation)
        try transaction.put("t:2", "{}")
        _ = try fixture.database.truncateTable(name)
        #expect(errorCode { try transaction.commit() } == .transactionConflict)
        transaction = try fixture.begin(isolation)
        try transaction.put("t:2", "{}")
        _ = try fixture.database.dropTable(name)
        #expect(errorCode { try transaction.commit() } == .transactionConflict)
        transaction = try fixture.begin(isolation)
        try transaction.put("t:2", "{}")
        try fixture.put("t:1", "{}")
        #expect(errorCode { try transaction.commit() } == .transactionConflict)
        #expect(try fixture.document("t:2") == nil)
    }

    @Test func `a transaction makes tables, and sees them`() throws {
        let fixture = try DatabaseFixture()
        let transaction = try fixture.begin()
        #expect(errorCode { _ = try transaction.list("a") } == .notFound)
        #expect(try transaction.get("a:1") == nil)
        for table in ["a", "b"] { for number in 1...2 { try transaction.put("\(table):\(number)", #"{"n":\#(number)}"#) } }
        #expect(try transaction.list("a") == ["1", "2"])
        #expect(try transaction.list("b") == ["1", "2"])
        #expect(try transaction.query(#"{"table":"b","return":"keys","allow_full_scan":true}"#) == ["b:1", "b:2"])
        try transaction.commit()
        #expect(try fixture.document("b:2") == #"{"n":2}"#)
        #expect(fixture.database.tables().map(\.entities) == [2, 2])
    }

    @Test func `a commit is one group of the change log, with the net effect on each entity`() throws {
        let fixture = try DatabaseFixture()
        try fixture.put("t:1", #"{"n":0}"#)
        try fixture.put("t:2", #"{"n":0}"#)
        let transaction = try fixture.begin()
        for number in 1...3 { try transaction.put("t:1", #"{"n":\#(number)}"#) }
        try transaction.put("t:3", "{}")
        try transaction.delete("t:3")
        try transaction.delete("t:2")
        try transaction.put("t:4", "{}")
        let done = try transaction.commit()
        let changes = try fixture.changes(after: 2).changes
        #expect(changes.map(\.pk) == ["2", "1", "4"])
        #expect(changes.map(\.transactionIndex) == [0, 1, 2])
        #expect(changes.allSatisfy { $0.transactionCount == 3 })
        #expect(done.sequence == changes.last?.sequence)
    }

    @Test func `conditions and patches are judged by what the transaction sees`() throws {
        let fixture = try DatabaseFixture()
        let version = try fixture.put("t:1", "{}").version
        let transaction = try fixture.begin()
        #expect(errorCode { try transaction.put("t:1", "{}", if: .absent) } == .preconditionFailed)
        #expect(errorCode { try transaction.put("t:1", "{}", if: .version(version + 1)) } == .preconditionFailed)
        try transaction.put("t:1", "{}", if: .version(version))
        #expect(errorCode { try transaction.put("t:1", "{}", if: .version(version)) } == .preconditionFailed)
        try transaction.delete("t:1", if: .exists)
        #expect(errorCode { try transaction.patch("t:1", "{}") } == .notFound)
        try transaction.put("t:1", #"{"a":1}"#, if: .absent)
        try transaction.patch("t:1", #"{"b":2}"#)
        try transaction.commit()
        #expect(try fixture.document("t:1") == #"{"a":1,"b":2}"#)
    }

    @Test func `unique values are compared as they are after the whole transaction`() throws {
        let fixture = try DatabaseFixture()
        try fixture.index("equality", "u", unique: true)
        try fixture.put("t:a", #"{"u":1}"#)
        try fixture.put("t:b", #"{"u":2}"#)
        let swap = try fixture.begin()
        try swap.put("t:a", #"{"u":2}"#)
        try swap.put("t:b", #"{"u":1}"#)
        try swap.commit()
        let hand = try fixture.begin()
        try hand.put("t:c", #"{"u":1}"#)
        try hand.delete("t:b")
        try hand.commit()
        #expect(try fixture.keys(#"{"table":"t","predicates":[{"column":"u","value":1}]}"#) == ["c"])
        let thief = try fixture.begin()
        try thief.put("t:d", #"{"u":2}"#)
        let error = thrown { try thief.commit() }
        #expect(error?.code == .uniqueViolation)
        #expect(error?.members.contains { $0.name == "holder" } == true)
        let twice = try fixture.begin()
        try twice.put("t:e", #"{"u":7}"#)
        try twice.put("t:f", #"{"u":7}"#)
        #expect(errorCode { try twice.commit() } == .uniqueViolation)
        #expect(try fixture.storedEntries() == 2)
        // What was released for a transaction that failed is held as before.
        let failed = try fixture.begin()
        try failed.put("t:c", #"{"u":9}"#)
        try failed.put("t:e", #"{"u":2}"#)
        #expect(errorCode { try failed.commit() } == .uniqueViolation)
        #expect(errorCode { try fixture.put("t:g", #"{"u":1}"#) } == .uniqueViolation)
    }

    @Test func `a unique value that another took meanwhile is refused at the commit`() throws {
        let fixture = try DatabaseFixture()
        try fixture.index("equality", "u", unique: true)
        let transaction = try fixture.begin(.snapshot)
        try fixture.put("t:other", #"{"u":1}"#)
        let late = try fixture.begin(.snapshot)
        try transaction.put("t:mine", #"{"u":5}"#)
        try late.put("t:late", #"{"u":5}"#)
        try transaction.commit()
        #expect(errorCode { try late.commit() } == .uniqueViolation)
    }
}
