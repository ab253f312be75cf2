import ThemisBase
import ThemisNet
import ThemisTelemetry

/// One signal's way to a collector: a kept connection, found anew when it breaks. Lives on the loop.
@NetLoop final class Collector {
    private static let requestMilliseconds = 10_000
    private static let answerBytes = 64 << 10
    /// The longest pause that a collector may ask for.
    private static let longestRetryAfterSeconds: Int64 = 3_600

    private let origin: HTTPOrigin
    private let path: String
    private let telemetry: Telemetry
    private var client: HTTPClient?
    private var hasFailed = false

    /// - Parameter path: `/v1/traces` or `/v1/metrics`.
    init(_ origin: HTTPOrigin, path: String, telemetry: Telemetry) {
        self.origin = origin
        self.path = path
        self.telemetry = telemetry
    }

    /// Posts an encoded request, compressed.
    func post<Payload>(_ body: [UInt8]) async -> Delivery<Payload>.Outcome {
        do {
            let client = try await connected()
            let answer = try await client.request(
                .post, origin.basePath + path,
                headers: [
                    ("Content-Type", "application/x-protobuf"), ("Content-Encoding", "gzip"), ("User-Agent", "themis/\(Build.version)"),
                ], body: body)
            return judge(answer)
        } catch let error as TLSFailure {
            disconnect()
            report(error.description)
            return error.isUntrusted ? .failed(.untrusted) : .retry(afterMilliseconds: nil)
        } catch let error as ThemisError {
            disconnect()
            report(error.message)
            // What answers something else than HTTP will do so again.
            return error.code == .malformedHTTP || error.code == .bodyTooLarge ? .failed(.refused) : .retry(afterMilliseconds: nil)
        } catch {
            disconnect()
            return .retry(afterMilliseconds: nil)
        }
    }

    /// Closes the kept connection.
    func disconnect() {
        client?.close()
        client = nil
    }

    private func connected() async throws -> HTTPClient {
        if let client { return client }
        let (host, port) = (origin.host, origin.port)
        let resolved: Result<SocketAddress, ThemisError> = await withCheckedContinuation { continuation in
            // Asking the resolver may block for seconds. The thread ends with its answer.
            _ = WorkThread(name: "resolve") {
                do throws(ThemisError) {
                    continuation.resume(returning: .success(try SocketAddress(resolving: host, port: port)))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        let made = HTTPClient(
            try resolved.get(), host: origin.authority,
            options: .init(timeoutMilliseconds: Self.requestMilliseconds, bodyLimitBytes: Self.answerBytes),
            tls: origin.isTLS ? try TLSClient(host: origin.host) : nil)
        client = made
        return made
    }

    private func judge<Payload>(_ answer: HTTPAnswer) -> Delivery<Payload>.Outcome {
        switch answer.status {
        case 200..<300:
            let taken = OTLPAnswer(decoding: answer.body)
            if taken.rejected > 0 || !taken.message.isEmpty {
                telemetry.log.warning(
                    "the collector took a request in part", [(.path, path), (.count, String(taken.rejected)), (.detail, taken.message)])
            }
            if hasFailed { telemetry.log.info("the collector takes requests again", [(.path, path)]) }
            hasFailed = false
            return .delivered(rejected: taken.rejected)
        case 429, 502, 503, 504:
            report("status \(answer.status)")
            let wall = telemetry.time.wallMilliseconds() / 1_000
            let seconds = answer.head.fields["retry-after"].flatMap { RetryAfter.seconds($0, nowSeconds: wall) }
            return .retry(afterMilliseconds: seconds.map { min($0, Self.longestRetryAfterSeconds) * 1_000 })
        default:
            report("status \(answer.status)")
            return .failed(.refused)
        }
    }

    /// Says once that something is wrong, until it is well again.
    private func report(_ what: String) {
        if !hasFailed { telemetry.log.warning("the collector does not take requests", [(.path, path), (.error, what)]) }
        hasFailed = true
    }
}

/// The header `Retry-After`: seconds, or a date (RFC 9110 §10.2.3).
enum RetryAfter {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// The seconds to wait, at least 0; nil for what cannot be read.
    static func seconds(_ text: String, nowSeconds: Int64) -> Int64? {
        if !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) { return Int64(text) ?? .max }
        return date(text).map { max(0, $0 - nowSeconds) }
    }

    /// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`.
    private static func date(_ text: String) -> Int64? {
        let parts = text.split(separator: " ").map(String.init)
        guard parts.count == 6, parts[5] == "GMT", let day = Int64(parts[1]), (1...31).contains(day),
            let month = months.firstIndex(of: parts[2]), let year = Int64(parts[3]), (1_970...9_999).contains(year)
        else { return nil }
        let clock = parts[4].split(separator: ":").map { Int64($0) ?? -1 }
        guard clock.count == 3, (0..<24).contains(clock[0]), (0..<60).contains(clock[1]), (0...60).contains(clock[2]) else { return nil }
        // Days from the civil date, counted in years that begin in March.
        let shifted = month < 2 ? year - 1 : year
        let dayOfYear = (153 * Int64(month < 2 ? month + 10 : month - 2) + 2) / 5 + day - 1
        let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + dayOfYear - 719_468
        return days * 86_400 + clock[0] * 3_600 + clock[1] * 60 + clock[2]
    }
}
