public import ThemisBase

/// The compact form in which metrics travel: from a sidecar to the core, and added up from the core to who is scraped.
///
/// `version u8 | families varint`, then for each family `name | kind u8 | labels varint | added labels varint, each a text |
/// bounds varint | series varint`, then for each series its label values, the added ones last, and its value: a counter as
/// varint, a gauge as 8 bytes, a histogram as its counts and 8 bytes of sum. Texts have a length in front. A family that the
/// reader's catalog does not know, or knows in another shape, is read over: processes of two versions understand what they share.
extension MetricSnapshot {
    private static let version: UInt8 = 1

    /// The snapshot as bytes.
    public func encoded() -> [UInt8] {
        var out: [UInt8] = [Self.version]
        out.appendVarint(UInt64(families.count))
        for family in families {
            out.appendLengthPrefixed(family.metric.name.utf8)
            out.append(family.metric.kind.rawValue)
            out.appendVarint(UInt64(family.metric.labels.count))
            out.appendVarint(UInt64(family.addedLabels.count))
            for label in family.addedLabels { out.appendLengthPrefixed(label.utf8) }
            out.appendVarint(UInt64(family.metric.buckets.count))
            out.appendVarint(UInt64(family.series.count))
            for series in family.series {
                for label in series.labels { out.appendLengthPrefixed(label.utf8) }
                switch series.value {
                case .counter(let value): out.appendVarint(value)
                case .gauge(let value): out.appendLittleEndian(value.bitPattern)
                case .histogram(let counts, let sum):
                    for count in counts { out.appendVarint(count) }
                    out.appendLittleEndian(sum.bitPattern)
                }
            }
        }
        return out
    }

    /// Reads what `encoded` wrote.
    ///
    /// - Throws: `invalid_request` when the bytes are too many, cut, of another version or hold something out of bounds.
    public init(decoding bytes: [UInt8]) throws(ThemisError) {
        guard bytes.count <= Limits.metricSnapshotBytes else {
            throw ThemisError(.invalidRequest, "a metric snapshot may have \(Limits.metricSnapshotBytes) bytes")
        }
        var reader = ByteReader(bytes)
        guard reader.byte() == Self.version else { throw ThemisError(.invalidRequest, "metric snapshot has an unknown version") }
        guard let snapshot = Self.readFamilies(&reader), reader.remaining == 0 else {
            throw ThemisError(.invalidRequest, "metric snapshot is damaged")
        }
        self = snapshot
    }

    private static func readFamilies(_ reader: inout ByteReader) -> MetricSnapshot? {
        guard let count = reader.varint(), count <= UInt64(reader.remaining) else { return nil }
        var builder = SnapshotBuilder()
        for _ in 0..<count {
            guard let name = reader.lengthPrefixed(), let rawKind = reader.byte(), let kind = MetricKind(rawValue: rawKind),
                let labels = reader.varint(), labels <= 16, let added = readAddedLabels(&reader), let bounds = reader.varint(),
                bounds <= 256,
                let series = reader.varint(), series <= UInt64(Limits.metricSeries + 1)
            else { return nil }
            let row = Metric.named(String(decoding: name, as: UTF8.self))
            let isKnown =
                row.map { $0.kind == kind && $0.labels.count == Int(labels) && $0.buckets.count == Int(bounds) } ?? false
            for _ in 0..<series {
                guard let (texts, value) = readSeries(&reader, kind, labels: Int(labels) + added.count, bounds: Int(bounds))
                else { return nil }
                if isKnown, let row { builder.add(row, texts, value, addedLabels: added) { $1 } }
            }
        }
        return builder.build()
    }

    private static func readAddedLabels(_ reader: inout ByteReader) -> [String]? {
        guard let count = reader.varint(), count <= 4 else { return nil }
        var names: [String] = []
        for _ in 0..<count {
            guard let name = reader.lengthPrefixed(), name.count <= Limits.metricLabelBytes else { return nil }
            names.append(String(decoding: name, as: UTF8.self))
        }
        return names
    }

    private static func readSeries(
        _ reader: inout ByteReader, _ kind: MetricKind, labels: Int, bounds: Int
    ) -> (labels: [String], value: MetricValue)? {
        var texts: [String] = []
        for _ in 0..<labels {
            guard let text = reader.lengthPrefixed(), text.count <= Limits.metricLabelBytes else { return nil }
            texts.append(String(decoding: text, as: UTF8.self))
        }
        switch kind {
        case .counter: return reader.varint().map { (texts, .counter($0)) }
        case .gauge: return reader.littleEndian(UInt64.self).map { (texts, .gauge(Double(bitPattern: $0))) }
        case .histogram:
            var counts: [UInt64] = []
            for _ in 0...bounds {
                guard let count = reader.varint() else { return nil }
                counts.append(count)
            }
            return reader.littleEndian(UInt64.self).map { (texts, .histogram(counts: counts, sum: Double(bitPattern: $0))) }
        }
    }
}
