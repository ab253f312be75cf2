import CZlib
import ThemisBase

/// Decompresses a gzip body (RFC 1952) piece by piece, with bounded expansion. Several members in a row are one body.
///
/// Not thread-safe. Uses about 40 KiB while it lives.
@safe final class GzipInflater {
    private let stream: UnsafeMutablePointer<z_stream>
    private var inputBytes = 0
    private var outputBytes = 0
    private var isBetweenMembers = true

    init() {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        precondition(unsafe themis_gzip_inflate_init(stream) == Z_OK, "out of memory for zlib")
    }

    deinit {
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Whether what came so far is whole.
    var isComplete: Bool { isBetweenMembers && inputBytes > 0 }

    /// Decompresses all of `input`, appending to `output`.
    ///
    /// - Parameter limit: most bytes of `output` altogether.
    /// - Throws: `body_too_large` beyond the limit or `Limits.inflateRatio`; `invalid_request` for bytes that are not gzip.
    func inflate(_ input: [UInt8], into output: inout [UInt8], limit: Int) throws(ThemisError) {
        inputBytes += input.count
        var offset = 0
        var hasMore = false
        // Used-up input may still hold output back that did not fit into one call.
        while offset < input.count || hasMore {
            let before = output.count
            let used = try step(input[offset...], into: &output)
            offset += used
            outputBytes += output.count - before
            hasMore = output.count - before == Self.stepBytes
            let isBomb = outputBytes > Limits.inflateFreeBytes && outputBytes / Limits.inflateRatio > inputBytes
            guard output.count <= limit, !isBomb else {
                throw ThemisError(
                    .bodyTooLarge, "the body is larger than \(limit) bytes, or expands too much, when it is decompressed")
            }
        }
    }

    private static let stepBytes = 64 << 10

    /// One call of zlib.
    private func step(_ input: ArraySlice<UInt8>, into output: inout [UInt8]) throws(ThemisError) -> Int {
        var produced = 0
        var status = Z_OK
        var used = 0
        let room = Self.stepBytes
        let start = output.count
        output.append(contentsOf: repeatElement(0, count: room))
        unsafe output.withUnsafeMutableBufferPointer { target in
            unsafe input.withUnsafeBufferPointer { source in
                unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
                unsafe stream.pointee.avail_in = UInt32(source.count)
                unsafe stream.pointee.next_out = target.baseAddress.map { unsafe $0 + start }
                unsafe stream.pointee.avail_out = UInt32(room)
                status = unsafe CZlib.inflate(stream, Z_NO_FLUSH)
                used = unsafe source.count - Int(stream.pointee.avail_in)
                produced = unsafe room - Int(stream.pointee.avail_out)
            }
        }
        output.removeLast(room - produced)
        switch status {
        case Z_STREAM_END:
            isBetweenMembers = true
            unsafe inflateReset(stream)
            return used
        case Z_OK:
            isBetweenMembers = false
            return used
        case Z_BUF_ERROR where input.isEmpty: return 0
        default: throw ThemisError(.invalidRequest, "the body is not valid gzip, although Content-Encoding says so")
        }
    }
}

/// Compresses answers, at the fastest level. Not thread-safe. Uses about 256 KiB while it lives.
@safe final class GzipDeflater {
    private let stream: UnsafeMutablePointer<z_stream>

    init() {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        precondition(unsafe themis_gzip_deflate_init(stream, 1) == Z_OK, "out of memory for zlib")
    }

    deinit {
        unsafe deflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Compresses a piece so that the reader can decompress all of it at once; with `isLast`, ends the body.
    func deflate(_ input: [UInt8], isLast: Bool) -> [UInt8] {
        var output: [UInt8] = []
        let flush = isLast ? Z_FINISH : Z_SYNC_FLUSH
        let room = max(1 << 10, unsafe Int(deflateBound(stream, UInt(input.count))) + 16)
        var isDone = false
        unsafe input.withUnsafeBufferPointer { source in
            unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
            unsafe stream.pointee.avail_in = UInt32(source.count)
            while !isDone {
                let start = output.count
                output.append(contentsOf: repeatElement(0, count: room))
                unsafe output.withUnsafeMutableBufferPointer { target in
                    unsafe stream.pointee.next_out = target.baseAddress.map { unsafe $0 + start }
                    unsafe stream.pointee.avail_out = UInt32(room)
                    let status = unsafe CZlib.deflate(stream, flush)
                    isDone = unsafe status == Z_STREAM_END || (!isLast && stream.pointee.avail_out > 0) || status < 0
                }
                unsafe output.removeLast(Int(stream.pointee.avail_out))
            }
        }
        return output
    }

    /// The whole of `body` as gzip.
    static func gzip(_ body: [UInt8]) -> [UInt8] { GzipDeflater().deflate(body, isLast: true) }
}

/// Whole bodies as gzip (RFC 1952). Any thread.
public enum GzipBody {
    /// The compressed bytes.
    public static func compress(_ body: [UInt8]) -> [UInt8] { GzipDeflater.gzip(body) }
}

/// What a client accepts (RFC 9110 §12.5.3).
enum AcceptEncoding {
    /// Whether gzip is accepted; `q=0` refuses it.
    static func acceptsGzip(_ value: ArraySlice<UInt8>) -> Bool {
        var isAccepted = false
        for item in value.split(separator: ASCII.comma) {
            let parts = item.split(separator: ASCII.semicolon)
            guard let coding = parts.first.map(ASCII.trimmed) else { continue }
            let isGzip = ASCII.isEqualIgnoringCase(coding, "gzip".utf8) || ASCII.isEqualIgnoringCase(coding, "x-gzip".utf8)
            guard isGzip || coding.elementsEqual("*".utf8) else { continue }
            let isWanted = !parts.dropFirst().contains { isZero(ASCII.trimmed($0)) }
            // A named coding decides; the star only speaks for what is not named.
            if isGzip { return isWanted }
            isAccepted = isWanted
        }
        return isAccepted
    }

    /// `q=0`, `q=0.0` and so on.
    private static func isZero(_ parameter: ArraySlice<UInt8>) -> Bool {
        guard parameter.count >= 3, ASCII.lower(parameter[parameter.startIndex]) == 0x71,
            parameter[parameter.startIndex + 1] == 0x3D
        else { return false }
        return parameter.dropFirst(2).allSatisfy { $0 == 0x30 || $0 == 0x2E }
    }
}
