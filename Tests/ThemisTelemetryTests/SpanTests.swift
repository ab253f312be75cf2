import Testing
import ThemisBase
import ThemisTelemetry

@Suite struct SpanTests {
    private let time = ManualTime()
    private let metrics = MetricRegistry()

    private func recorder(ratio: Double = 1, isEnabled: Bool = true) -> SpanRecorder {
        let recorder = SpanRecorder(metrics: metrics, time: time, seed: 1)
        recorder.configure(isEnabled: isEnabled, ratio: ratio)
        return recorder
    }

    private func spans(_ recorder: SpanRecorder) throws -> [Span] {
        let batch = recorder.take(limit: .max, maxBytes: .max)
        var spans: [Result<Span, ThemisError>] = []
        batch.forEach { bytes in
            do throws(ThemisError) { spans.append(.success(try Span(decoding: bytes))) } catch { spans.append(.failure(error)) }
        }
        return try spans.map { try $0.get() }
    }

    private func caller(isSampled: Bool) throws -> Traceparent {
        try #require(Traceparent(traceHigh: 0xA, traceLow: 0xB, span: 0xC, isSampled: isSampled))
    }

    @Test func `the caller's flag decides whether a request is recorded`() throws {
        let always = recorder(ratio: 1)
        #expect(always.enter("GET", caller: try caller(isSampled: false), atNanoseconds: 0) == nil)
        let never = recorder(ratio: 0)
        let span = try #require(never.enter("GET", caller: try caller(isSampled: true), atNanoseconds: 0))
        #expect(span.context.traceHigh == 0xA && span.context.traceLow == 0xB && span.context.span != 0xC && span.context.isSampled)
        #expect(recorder(isEnabled: false).enter("GET", caller: try caller(isSampled: true), atNanoseconds: 0) == nil)
    }

    @Test(arguments: [0.0, 0.1, 0.5, 1.0])
    func `chance decides for a request without a caller, by the ratio`(ratio: Double) {
        let recorder = recorder(ratio: ratio)
        var contexts: Set<Traceparent> = []
        for _ in 0..<10_000 {
            if let span = recorder.enter("GET", caller: nil, atNanoseconds: 0) { contexts.insert(span.context) }
        }
        #expect(abs(Double(contexts.count) - 10_000 * ratio) <= 300)
        #expect(recorder.enter("GET", caller: nil, atNanoseconds: 0) == nil || ratio > 0)
    }

    @Test func `a span says when it was, who is above it and what is known of it`() throws {
        let recorder = recorder()
        let begun = time.monotonicNanoseconds()
        let span = try #require(
            recorder.enter("GET", caller: try caller(isSampled: true), traceState: "a=b", atNanoseconds: begun))
        let step = span.child("commit", atNanoseconds: begun + 1_000_000)
        time.advance(milliseconds: 5)
        step.record("fsync", from: begun + 2_000_000, to: begun + 3_000_000)
        step.end(atNanoseconds: begun + 4_000_000)
        span.rename("GET /entities/{key}")
        span.set(.httpStatus, 503)
        span.set(.httpRoute, "/entities/{key}")
        span.fail("503")
        span.fail("later")
        span.end()
        span.end()
        let found = try spans(recorder)
        #expect(found.map(\.name) == ["fsync", "commit", "GET /entities/{key}"])
        guard found.count == 3 else { return }
        let start = UInt64(time.wallMilliseconds() - 5) * 1_000_000
        #expect(found[2].startNanoseconds == start && found[2].endNanoseconds == start + 5_000_000)
        #expect(found[0].startNanoseconds == start + 2_000_000 && found[0].endNanoseconds == start + 3_000_000)
        #expect(found[2].parent == 0xC && found[2].isParentRemote && found[2].kind == .server && found[2].traceState == "a=b")
        #expect(found[1].parent == found[2].context.span && found[0].parent == found[1].context.span && found[0].kind == .internal)
        #expect(found.allSatisfy { $0.context.traceLow == 0xB })
        #expect(found[2].error == "503" && found[2].value(.errorType) == .text("503") && found[2].value(.httpStatus) == .integer(503))
    }

    @Test func `a span survives its way, cut where it is too long`() throws {
        let context = try caller(isSampled: true)
        var span = Span(
            context: context, parent: 9, isParentRemote: true, kind: .client, name: "Write", traceState: "v=1", startNanoseconds: 5,
            endNanoseconds: 70, error: "overloaded",
            attributes: [
                SpanAttribute("a", .text("Größe")), SpanAttribute("b", .integer(-3)), SpanAttribute("c", .integer(.max)),
                SpanAttribute("d", .bool(true)), SpanAttribute("e", .integer(.min)),
            ])
        #expect(try Span(decoding: span.encoded()[...]) == span)
        let long = String(repeating: "ä", count: Limits.spanTextBytes)
        span.name = long
        span.attributes = (0..<100).map { SpanAttribute("\($0)\(long)", .text("x" + long)) }
        let read = try Span(decoding: span.encoded()[...])
        #expect(read.name.utf8.count == Limits.spanTextBytes && long.hasPrefix(read.name))
        #expect(read.attributes.count == Limits.spanAttributes)
        #expect(read.attributes.allSatisfy { $0.key.utf8.count <= Limits.spanTextBytes })
        #expect(span.encoded().count <= Limits.spanBytes)
    }

    @Test func `no damaged span traps or is taken for a whole one`() throws {
        let span = Span(
            context: try caller(isSampled: true), kind: .server, name: "Get", startNanoseconds: 1, endNanoseconds: 2,
            attributes: [SpanAttribute("key", .text("value")), SpanAttribute("n", .integer(7))])
        let whole = span.encoded()
        for count in 0..<whole.count { #expect(throws: ThemisError.self) { try Span(decoding: whole[..<count]) } }
        var random = SeededRandom(seed: 7)
        for _ in 0..<5_000 {
            var damaged = whole
            damaged[Int.random(in: 0..<damaged.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            _ = try? Span(decoding: damaged[...])
            _ = try? SpanBatch(damaged)
        }
    }

    @Test func `what enters is passed, dropped or waits`() {
        let recorder = recorder()
        for _ in 0..<(Limits.spansWaiting + 100) { recorder.enter("GET", caller: nil, atNanoseconds: 1)?.end() }
        #expect(recorder.waitingCount == Limits.spansWaiting)
        let first = recorder.take(limit: 1_500, maxBytes: .max)
        let second = recorder.take(limit: .max, maxBytes: 10_000)
        #expect(first.count == 1_500 && second.count > 10 && second.bytes.count <= 10_000)
        recorder.settle(first, isPassed: true)
        recorder.settle(second, isPassed: false)
        let total = metrics.counter(.spansEntered, "process").value
        #expect(total == UInt64(Limits.spansWaiting + 100))
        #expect(metrics.counter(.spansPassed, "process").value == 1_500)
        #expect(metrics.counter(.spansDropped, "process", "full").value == 100)
        #expect(metrics.counter(.spansDropped, "process", "core_lost").value == UInt64(second.count))
        #expect(metrics.gauge(.spansWaiting, "process").value == Double(Limits.spansWaiting - 1_500 - second.count))
    }

    @Test func `a batch is cut after whole spans`() throws {
        var batch = SpanBatch()
        for index in 1...5 { batch.append([UInt8](repeating: UInt8(index), count: index * 40)) }
        #expect(try SpanBatch(batch.bytes) == batch)
        batch.truncate(to: 3)
        #expect(batch.count == 3 && batch.bytes.count == 40 + 80 + 120 + 3)
        var sizes: [Int] = []
        batch.forEach { sizes.append($0.count) }
        #expect(sizes == [40, 80, 120])
        batch.truncate(to: 0)
        #expect(batch.count == 0 && batch.bytes.isEmpty)
        #expect(throws: ThemisError.self) { try SpanBatch([5, 1]) }
    }
}
