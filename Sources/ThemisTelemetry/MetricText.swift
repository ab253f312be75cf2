import ThemisBase

/// The Prometheus text format 0.0.4: what GET /metrics answers by default.
public enum PrometheusText {
    /// The media type of the format.
    public static let mediaType = "text/plain; version=0.0.4; charset=utf-8"

    /// The families of `snapshot`, in its order.
    public static func write(_ snapshot: MetricSnapshot) -> [UInt8] {
        var text = MetricText()
        for family in snapshot.families {
            let metric = family.metric
            if let parts = metric.parts {
                text.header(parts.sum, metric.help + " Sum.", type: "counter", isOpen: false)
                text.samples(of: family) { text, labels, counts, sum in text.sample(parts.sum, labels, MetricText.number(sum)) }
                text.header(parts.count, metric.help + " Count.", type: "counter", isOpen: false)
                text.samples(of: family) { text, labels, counts, sum in
                    text.sample(parts.count, labels, String(counts.reduce(0, &+)))
                }
                text.header(parts.bucket, metric.help + " Cumulative counts.", type: "counter", isOpen: false)
                text.samples(of: family) { text, labels, counts, sum in
                    text.buckets(parts.bucket, labels, counts, metric.buckets, isOpen: false)
                }
            } else {
                text.header(metric.name, metric.help, type: metric.kind.word, isOpen: false)
                text.series(of: family, isOpen: false, counterName: metric.name)
            }
        }
        return text.bytes
    }
}

/// OpenMetrics 1.0: what GET /metrics answers to `Accept: application/openmetrics-text`.
public enum OpenMetricsText {
    /// The media type of the format.
    public static let mediaType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    /// The families of `snapshot`, in its order. Counters whose fixed name lacks `_total` are of type `unknown`, so that the name
    /// stays.
    public static func write(_ snapshot: MetricSnapshot) -> [UInt8] {
        var text = MetricText()
        for family in snapshot.families {
            let metric = family.metric
            if let parts = metric.parts {
                text.header(parts.sum, metric.help + " Sum.", type: "unknown", isOpen: true)
                text.samples(of: family) { text, labels, counts, sum in text.sample(parts.sum, labels, MetricText.number(sum)) }
                text.header(parts.count, metric.help + " Count.", type: "unknown", isOpen: true)
                text.samples(of: family) { text, labels, counts, sum in
                    text.sample(parts.count, labels, String(counts.reduce(0, &+)))
                }
                text.header(parts.bucket, metric.help + " Cumulative counts.", type: "unknown", isOpen: true)
                text.samples(of: family) { text, labels, counts, sum in
                    text.buckets(parts.bucket, labels, counts, metric.buckets, isOpen: true)
                }
            } else if metric.kind == .counter, metric.name.hasSuffix("_total") {
                text.header(String(metric.name.dropLast(6)), metric.help, type: "counter", unit: metric.unit, isOpen: true)
                text.series(of: family, isOpen: true, counterName: metric.name)
            } else {
                let type = metric.kind == .counter ? "unknown" : metric.kind.word
                text.header(metric.name, metric.help, type: type, unit: metric.unit, isOpen: true)
                text.series(of: family, isOpen: true, counterName: metric.name)
            }
        }
        text.bytes.append(contentsOf: "# EOF\n".utf8)
        return text.bytes
    }
}

/// What both formats share.
private struct MetricText {
    var bytes: [UInt8] = []

    mutating func header(_ name: String, _ help: String, type: String, unit: String? = nil, isOpen: Bool) {
        bytes.append(contentsOf: "# HELP \(name) ".utf8)
        appendEscaped(help, quotes: isOpen)
        bytes.append(contentsOf: "\n# TYPE \(name) \(type)\n".utf8)
        if isOpen, let unit { bytes.append(contentsOf: "# UNIT \(name) \(unit)\n".utf8) }
    }

    mutating func series(of family: MetricSnapshot.Family, isOpen: Bool, counterName: String) {
        let metric = family.metric
        for series in family.series {
            let labels = Array(zip(family.labelNames, series.labels))
            switch series.value {
            case .counter(let value):
                sample(counterName, labels, metric.divisor == 1 ? String(value) : Self.number(Double(value) / metric.divisor))
            case .gauge(let value): sample(metric.name, labels, Self.number(value / metric.divisor))
            case .histogram(let counts, let sum):
                buckets(metric.name + "_bucket", labels, counts, metric.buckets, isOpen: isOpen)
                sample(metric.name + "_sum", labels, Self.number(sum))
                sample(metric.name + "_count", labels, String(counts.reduce(0, &+)))
            }
        }
    }

    mutating func samples(
        of family: MetricSnapshot.Family, _ body: (inout MetricText, [(String, String)], [UInt64], Double) -> Void
    ) {
        for series in family.series {
            guard case .histogram(let counts, let sum) = series.value else { continue }
            body(&self, Array(zip(family.labelNames, series.labels)), counts, sum)
        }
    }

    mutating func buckets(_ name: String, _ labels: [(String, String)], _ counts: [UInt64], _ bounds: [Double], isOpen: Bool) {
        var running: UInt64 = 0
        for (index, count) in counts.enumerated() {
            running &+= count
            let bound = index < bounds.count ? (isOpen ? "\(bounds[index])" : Self.number(bounds[index])) : "+Inf"
            sample(name, labels + [("le", bound)], String(running))
        }
    }

    mutating func sample(_ name: String, _ labels: [(String, String)], _ value: String) {
        bytes.append(contentsOf: name.utf8)
        if !labels.isEmpty {
            for (index, (label, text)) in labels.enumerated() {
                bytes.append(index == 0 ? 0x7B : 0x2C)
                bytes.append(contentsOf: label.utf8)
                bytes.append(contentsOf: "=\"".utf8)
                appendEscaped(text, quotes: true)
                bytes.append(0x22)
            }
            bytes.append(0x7D)
        }
        bytes.append(0x20)
        bytes.append(contentsOf: value.utf8)
        bytes.append(0x0A)
    }

    private mutating func appendEscaped(_ text: String, quotes: Bool) {
        for byte in text.utf8 {
            switch byte {
            case 0x5C: bytes.append(contentsOf: [0x5C, 0x5C])
            case 0x0A: bytes.append(contentsOf: [0x5C, 0x6E])
            case 0x22 where quotes: bytes.append(contentsOf: [0x5C, 0x22])
            default: bytes.append(byte)
            }
        }
    }

    /// A number as both formats read it: whole ones without a fraction.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if let whole = Int64(exactly: value) { return String(whole) }
        return "\(value)"
    }
}
