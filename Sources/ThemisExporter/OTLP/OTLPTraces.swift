import COTLP
import ThemisTelemetry

/// Spans as the body of a request to a collector's `/v1/traces`.
enum OTLPTraces {
    /// The encoded ExportTraceServiceRequest.
    static func encode(_ groups: [(resource: OTLPResource, spans: [Span])]) -> [UInt8] {
        let memory = ProtocolMemory()
        let parts = unsafe groups.map { group in
            let scope = unsafe memory.space(of: Otlp__ScopeSpans.self)
            unsafe otlp__scope_spans__init(scope)
            unsafe scope.pointee.scope = unsafe memory.scope()
            unsafe scope.pointee.schema_url = unsafe memory.text(ProtocolMemory.schema)
            unsafe scope.pointee.n_spans = group.spans.count
            unsafe scope.pointee.spans = unsafe memory.list(group.spans.map { unsafe span($0, memory) })
            let part = unsafe memory.space(of: Otlp__ResourceSpans.self)
            unsafe otlp__resource_spans__init(part)
            unsafe part.pointee.resource = unsafe memory.resource(group.resource)
            unsafe part.pointee.schema_url = unsafe memory.text(ProtocolMemory.schema)
            unsafe part.pointee.n_scope_spans = 1
            unsafe part.pointee.scope_spans = unsafe memory.list([scope])
            return unsafe part
        }
        let request = unsafe memory.space(of: Otlp__ExportTraceServiceRequest.self)
        unsafe otlp__export_trace_service_request__init(request)
        unsafe request.pointee.n_resource_spans = unsafe parts.count
        unsafe request.pointee.resource_spans = unsafe memory.list(parts)
        return unsafe memory.packed(request)
    }

    private static func span(_ span: Span, _ memory: ProtocolMemory) -> UnsafeMutablePointer<Otlp__Span> {
        let made = unsafe memory.space(of: Otlp__Span.self)
        unsafe otlp__span__init(made)
        unsafe memory.set(&made.pointee.trace_id, span.context.traceHigh, span.context.traceLow)
        unsafe memory.set(&made.pointee.span_id, span.context.span)
        if span.parent != 0 { unsafe memory.set(&made.pointee.parent_span_id, span.parent) }
        unsafe made.pointee.trace_state = unsafe memory.text(span.traceState)
        // Sampled; and bit 8 says that bit 9, a parent of another process, is meant.
        unsafe made.pointee.flags = 0x101 | (span.isParentRemote ? 0x200 : 0)
        unsafe made.pointee.name = unsafe memory.text(span.name)
        unsafe made.pointee.kind = UInt32(span.kind.rawValue)
        unsafe made.pointee.start_time_unix_nano = span.startNanoseconds
        unsafe made.pointee.end_time_unix_nano = span.endNanoseconds
        unsafe made.pointee.n_attributes = span.attributes.count
        unsafe made.pointee.attributes = unsafe memory.list(span.attributes.map { unsafe memory.attribute($0.key, $0.value) })
        if !span.error.isEmpty {
            let status = unsafe memory.space(of: Otlp__Status.self)
            unsafe otlp__status__init(status)
            unsafe status.pointee.code = 2
            unsafe made.pointee.status = unsafe status
        }
        return unsafe made
    }
}
