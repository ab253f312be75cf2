import ThemisBase
import ThemisRPC

/// Answers about tables and jobs as JSON text.
enum AdminJSON {
    /// One table with its settings.
    static func append(_ table: TableMessage, to out: inout [UInt8]) {
        out.append(contentsOf: #"{"name":"\#(table.name)","entities":\#(table.entities),"bytes":\#(table.bytes),"#.utf8)
        out.append(contentsOf: #""cdc":{"old_values":\#(table.oldValues)},"default_ttl_seconds":"#.utf8)
        out.append(contentsOf: (table.defaultTTLSeconds > 0 ? String(table.defaultTTLSeconds) : "null").utf8)
        out.append(contentsOf: #","created":"\#(Timestamp.text(milliseconds: table.createdMilliseconds))"}"#.utf8)
    }

    /// `{table, deleted, sequence?}` of a drop or truncate.
    static func emptied(_ table: String, _ response: TableDropResponse) -> [UInt8] {
        var text = #"{"table":"\#(table)","deleted":\#(response.deleted)"#
        if response.sequence > 0 { text += #","sequence":\#(response.sequence)"# }
        return Array((text + "}").utf8)
    }

    /// One job; `now` is the wall clock in milliseconds.
    static func append(_ job: JobMessage, now: Int64, to out: inout [UInt8]) {
        let end = job.endedMilliseconds > 0 ? job.endedMilliseconds : now
        let seconds = Double(max(0, end.subtractingReportingOverflow(job.startedMilliseconds).partialValue)) / 1_000
        let rate = seconds > 0 ? (Double(job.done) / seconds * 10).rounded() / 10 : 0
        out.append(contentsOf: #"{"id":"#.utf8)
        JSONText.appendString(job.id, to: &out)
        out.append(contentsOf: #","kind":"#.utf8)
        JSONText.appendString(job.kind, to: &out)
        out.append(contentsOf: #","state":"\#(word(job.state))","done":\#(job.done),"total":\#(job.total),"#.utf8)
        out.append(contentsOf: #""rate":\#(rate),"eta_seconds":"#.utf8)
        if job.state == .running, rate > 0, job.total >= job.done {
            out.append(contentsOf: String(UInt64(min(1e15, (Double(job.total - job.done) / rate).rounded(.up)))).utf8)
        } else {
            out.append(contentsOf: "null".utf8)
        }
        out.append(contentsOf: #","started":"\#(Timestamp.text(milliseconds: job.startedMilliseconds))""#.utf8)
        if job.endedMilliseconds > 0 {
            out.append(contentsOf: #","ended":"\#(Timestamp.text(milliseconds: job.endedMilliseconds))""#.utf8)
        }
        out.append(contentsOf: #","detail":"#.utf8)
        JSONText.appendString(job.detail, to: &out)
        if let error = job.error {
            out.append(contentsOf: #","error":{"code":"\#(error.code.word)","detail":"#.utf8)
            JSONText.appendString(error.message, to: &out)
            out.append(0x7D)
        }
        out.append(0x7D)
    }

    private static func word(_ state: JobState) -> String {
        switch state {
        case .running: "running"
        case .done: "done"
        case .failed: "failed"
        case .cancelled: "cancelled"
        }
    }
}
