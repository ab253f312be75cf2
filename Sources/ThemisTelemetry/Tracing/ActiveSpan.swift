import Synchronization
import ThemisBase

/// A span that is not finished: made only for requests that are recorded. Any thread.
///
/// It is recorded when it ends, once; what is said of it later is lost. One that is dropped without an end is not recorded.
public final class ActiveSpan: Sendable {
    private struct State {
        var name: String
        var error = ""
        var attributes: [SpanAttribute] = []
        var hasEnded = false
    }

    /// Its trace and its own id: what children and calls to others name as their parent.
    public let context: Traceparent
    /// When it began, by the monotonic clock.
    public let startNanoseconds: UInt64
    private let recorder: SpanRecorder
    private let parent: UInt64
    private let isRemote: Bool
    private let kind: SpanKind
    private let traceState: String
    private let state: Mutex<State>

    init(
        _ recorder: SpanRecorder, _ context: Traceparent, parent: UInt64, isRemote: Bool, _ kind: SpanKind, _ name: String,
        _ traceState: String, _ startNanoseconds: UInt64
    ) {
        self.recorder = recorder
        self.context = context
        self.parent = parent
        self.isRemote = isRemote
        self.kind = kind
        self.traceState = traceState
        self.startNanoseconds = startNanoseconds
        state = Mutex(State(name: name))
    }

    /// Adds an attribute.
    public func set(_ key: SpanKey, _ value: String) { add(key, .text(value)) }
    /// Adds an attribute.
    public func set(_ key: SpanKey, _ value: Int) { add(key, .integer(Int64(value))) }

    private func add(_ key: SpanKey, _ value: SpanValue) {
        state.withLock { $0.attributes.append(SpanAttribute(key.rawValue, value)) }
    }

    /// Gives it a better name.
    public func rename(_ name: String) { state.withLock { $0.name = name } }

    /// Says that it failed; `type` is a word of a closed set. The first reason stays.
    public func fail(_ type: String) { state.withLock { if $0.error.isEmpty { $0.error = type } } }

    /// Ends it, now or at a moment of the monotonic clock. Later calls do nothing.
    public func end(atNanoseconds: UInt64? = nil) {
        let finished: State? = state.withLock { state in
            guard !state.hasEnded else { return nil }
            state.hasEnded = true
            return state
        }
        guard let finished else { return }
        let end = atNanoseconds ?? recorder.time.monotonicNanoseconds()
        var attributes = finished.attributes
        if !finished.error.isEmpty { attributes.append(SpanAttribute(SpanKey.errorType.rawValue, .text(finished.error))) }
        recorder.finish(
            Span(
                context: context, parent: parent, isParentRemote: isRemote, kind: kind, name: finished.name, traceState: traceState,
                startNanoseconds: recorder.unixNanoseconds(startNanoseconds),
                endNanoseconds: recorder.unixNanoseconds(max(end, startNanoseconds)), error: finished.error, attributes: attributes))
    }

    /// Begins a span of this process under this one.
    public func child(_ name: String, atNanoseconds: UInt64) -> ActiveSpan {
        recorder.begin(name, under: context, .internal, isRemote: false, traceState, atNanoseconds)
    }

    /// Records a step under this span: from a moment of the monotonic clock to another, or to now.
    public func record(_ name: String, from: UInt64, to: UInt64? = nil, error: String = "") {
        let step = child(name, atNanoseconds: from)
        if !error.isEmpty { step.fail(error) }
        step.end(atNanoseconds: to)
    }
}
