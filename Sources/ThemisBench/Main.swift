import Glibc
import ThemisBase
import ThemisNet

/// `themis_bench`: one run of load against a running set; its result is one line of JSON on standard output.
@main struct Main {
    static let help = """
        usage: themis_bench MODE [--NAME VALUE]…      One run of load; prints one line of JSON. `make bench` calls it.

          rpc   --socket S [--in-flight 64] [--connections 1] [--writes PERCENT] [--rate R]     Get and Write to the core
          lines --socket S --method NAME --file F [--in-flight 64]                              requests out of a file, one in each line
          fill  --socket S --keys N [--first 0]                                                 streamed writes to the core
          http  --port P [--connections 64] [--writes PERCENT] [--rate R]                       GET and PUT over HTTP
                [--heeds-retry-after 1: a connection rests after a 503] [--give-up MS: what waits so long for a connection is dropped]
          bulk  --port P --rows N                                                               one streamed import over HTTP
          sse   --port P [--subscribers 100] [--socket S --rate R]                              event streams, and writes to see

        Every mode: [--keys 10000] [--bytes 1024] [--seed 1] [--seconds 5] [--warm-up 1] [--pids P,P…]
        With --rate requests are sent at their times whether or not the server keeps up, and latencies count from those times.
        """

    static func main() {
        let words = Array(CommandLine.arguments.dropFirst())
        if words.isEmpty || words.contains("--help") {
            print(help)
            exit(words.isEmpty ? 64 : 0)
        }
        do {
            try EventLoop.run {
                NetLoop.spawn {
                    do {
                        print(try await run(words))
                        fflush(nil)
                        _exit(0)
                    } catch { fail(error) }
                }
            }
        } catch { fail(error) }
    }

    private static func fail(_ error: any Error) -> Never {
        let text = "themis_bench: \((error as? ThemisError)?.description ?? "\(error)")\n"
        _ = unsafe text.withCString { unsafe write(2, $0, strlen($0)) }
        _exit(1)
    }

    @NetLoop private static func run(_ words: [String]) async throws -> String {
        var flags = try Flags(words)
        let documents = Documents(
            keys: try flags.number("keys", 10_000, least: 1), bytes: try flags.number("bytes", 1_024, least: Documents.leastBytes))
        let first = try flags.number("first", 0)
        let pids = try flags.pids()
        switch flags.mode {
        case "rpc": return try await rpc(&flags, documents, first: first, pids)
        case "lines":
            var plan = RPCLoad.Plan()
            plan.socket = try flags.text("socket")
            plan.inFlight = try flags.number("in-flight", 64, least: 1)
            plan.seed = UInt64(try flags.number("seed", 1))
            plan.lines = try RequestLines(flags.text("file"), method: flags.text("method"))
            let (warmUp, length) = try window(&flags)
            try flags.refuseTheRest()
            return try await RPCLoad(plan, pids: pids).run(warmUpMilliseconds: warmUp, milliseconds: length)
        case "http":
            var plan = HTTPLoad.Plan()
            plan.port = try flags.port()
            plan.connections = try flags.number("connections", 64, least: 1)
            plan.writes = try flags.number("writes", 0)
            plan.documents = documents
            plan.rate = try flags.rate()
            if plan.rate != nil { plan.giveUpMilliseconds = try flags.optionalNumber("give-up") }
            plan.heedsRetryAfter = try flags.number("heeds-retry-after", 0) > 0
            plan.seed = UInt64(try flags.number("seed", 1))
            let (warmUp, length) = try window(&flags)
            try flags.refuseTheRest()
            return try await HTTPLoad(plan, pids: pids).run(warmUpMilliseconds: warmUp, milliseconds: length)
        case "sse":
            var plan = EventStreams.Plan()
            plan.port = try flags.port()
            plan.subscribers = try flags.number("subscribers", 100, least: 1)
            plan.socket = flags.optional("socket")
            plan.rate = try flags.rate()
            plan.documents = documents
            let (warmUp, length) = try window(&flags)
            try flags.refuseTheRest()
            guard (plan.socket == nil) == (plan.rate == nil) else { throw ThemisError(.invalidRequest, "--socket needs --rate") }
            let streams = try EventStreams(plan, pids: pids)
            return try await streams.run(warmUpMilliseconds: warmUp, milliseconds: length) {
                print(#"{"connected":\#(plan.subscribers)}"#)
                fflush(nil)
            }
        case "bulk":
            let (port, rows) = (try flags.port(), try flags.number("rows", 100_000, least: 1))
            try flags.refuseTheRest()
            return try await BulkLoad(rows: rows, documents: documents, pids: pids).run(port: port)
        case "fill":
            let socket = try flags.text("socket")
            try flags.refuseTheRest()
            return try await Fill(socket: socket, first: first, documents: documents, pids: pids).run()
        default: throw ThemisError(.invalidRequest, "the mode \(flags.mode) is not known; see --help")
        }
    }

    @NetLoop private static func rpc(
        _ flags: inout Flags, _ documents: Documents, first: Int, _ pids: [String]
    ) async throws -> String {
        var plan = RPCLoad.Plan()
        plan.socket = try flags.text("socket")
        plan.inFlight = try flags.number("in-flight", 64, least: 1)
        plan.connections = try flags.number("connections", 1, least: 1)
        plan.writes = try flags.number("writes", 0)
        plan.firstKey = first
        plan.documents = documents
        plan.rate = try flags.rate()
        plan.seed = UInt64(try flags.number("seed", 1))
        let (warmUp, length) = try window(&flags)
        try flags.refuseTheRest()
        return try await RPCLoad(plan, pids: pids).run(warmUpMilliseconds: warmUp, milliseconds: length)
    }

    private static func window(_ flags: inout Flags) throws(ThemisError) -> (warmUp: Int, length: Int) {
        (try flags.number("warm-up", 1) * 1_000, try flags.number("seconds", 5, least: 1) * 1_000)
    }
}
