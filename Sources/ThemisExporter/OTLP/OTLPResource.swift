import COTLP
import ThemisBase
import ThemisTelemetry

/// The process that something comes from, as collectors name it.
struct OTLPResource: Hashable, Sendable {
    /// `tracing.service_name`.
    var service: String
    /// The process among those of its role.
    var instance: String
    /// What the process is.
    var role: String
    /// Its build; empty when it is not known.
    var version: String
}

/// What requests for spans and for metrics share.
extension ProtocolMemory {
    /// The version of the conventions that names and attributes follow.
    static let schema = "https://opentelemetry.io/schemas/1.45.0"

    func attribute(_ key: String, _ value: SpanValue) -> UnsafeMutablePointer<Otlp__KeyValue> {
        let any = unsafe space(of: Otlp__AnyValue.self)
        unsafe otlp__any_value__init(any)
        switch value {
        case .text(let text):
            unsafe any.pointee.value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE
            unsafe any.pointee.string_value = unsafe self.text(text)
        case .integer(let number):
            unsafe any.pointee.value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE
            unsafe any.pointee.int_value = number
        case .bool(let value):
            unsafe any.pointee.value_case = OTLP__ANY_VALUE__VALUE_BOOL_VALUE
            unsafe any.pointee.bool_value = value ? 1 : 0
        }
        let pair = unsafe space(of: Otlp__KeyValue.self)
        unsafe otlp__key_value__init(pair)
        unsafe pair.pointee.key = unsafe text(key)
        unsafe pair.pointee.value = unsafe any
        return unsafe pair
    }

    func resource(_ resource: OTLPResource) -> UnsafeMutablePointer<Otlp__Resource> {
        var attributes = unsafe [
            attribute("service.name", .text(resource.service)), attribute("service.instance.id", .text(resource.instance)),
            attribute("themis.role", .text(resource.role)),
        ]
        if !resource.version.isEmpty { unsafe attributes.append(unsafe attribute("service.version", .text(resource.version))) }
        let made = unsafe space(of: Otlp__Resource.self)
        unsafe otlp__resource__init(made)
        unsafe made.pointee.n_attributes = unsafe attributes.count
        unsafe made.pointee.attributes = unsafe list(attributes)
        return unsafe made
    }

    func scope() -> UnsafeMutablePointer<Otlp__InstrumentationScope> {
        let scope = unsafe space(of: Otlp__InstrumentationScope.self)
        unsafe otlp__instrumentation_scope__init(scope)
        unsafe scope.pointee.name = unsafe text("themis")
        unsafe scope.pointee.version = unsafe text(Build.version)
        return unsafe scope
    }
}

/// What a collector answered to a request that it took.
struct OTLPAnswer: Equatable {
    /// Spans or data points that it refused.
    var rejected: Int
    /// What it says about them.
    var message: String

    /// Reads the body of a 200. Bytes that are no such answer refuse nothing.
    init(decoding body: [UInt8]) {
        let decoded: (Int, String) = unsafe body.withUnsafeBufferPointer { bytes in
            guard let answer = unsafe otlp__export_response__unpack(nil, bytes.count, bytes.baseAddress) else { return (0, "") }
            defer { unsafe otlp__export_response__free_unpacked(answer, nil) }
            guard let partial = unsafe answer.pointee.partial_success else { return (0, "") }
            let message = unsafe partial.pointee.error_message.map { unsafe String(cString: $0) } ?? ""
            return unsafe (Int(clamping: max(0, partial.pointee.rejected)), String(message.prefix(500)))
        }
        (rejected, message) = decoded
    }
}
