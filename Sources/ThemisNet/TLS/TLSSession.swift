import COpenSSL
import Glibc
import ThemisBase

/// Why an encrypted connection was not made, or ended.
public struct TLSFailure: Error, Sendable, CustomStringConvertible {
    /// Whether the certificate is the reason: another attempt would change nothing.
    public let isUntrusted: Bool
    /// What was wrong.
    public let description: String

    init(_ description: String, isUntrusted: Bool = false) {
        self.description = description
        self.isUntrusted = isUntrusted
    }
}

/// What every encrypted connection to one host shares: TLS 1.2 or newer, the system's trusted certificates, or those of `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` (OpenSSL reads them itself). Not thread-safe.
///
/// Safe: the pointer is its own and lives as long as the object.
@safe public final class TLSClient {
    fileprivate let context: OpaquePointer
    /// The name or IP address that the certificate must be made out to.
    public let host: String

    /// Reads the trusted certificates: some milliseconds.
    ///
    /// - Throws: TLSFailure when they cannot be read.
    public init(host: String) throws(TLSFailure) {
        guard let context = unsafe SSL_CTX_new(TLS_client_method()) else { throw TLSFailure("out of memory for TLS") }
        unsafe self.context = unsafe context
        self.host = host
        unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        unsafe _ = themis_tls_no_renegotiation(context)
        guard unsafe themis_tls_require_12(context) == 1, unsafe SSL_CTX_set_default_verify_paths(context) == 1 else {
            throw TLSFailure("the trusted certificates cannot be read: \(TLSSession.queuedError())", isUntrusted: true)
        }
    }

    deinit { unsafe SSL_CTX_free(context) }
}

/// One encrypted conversation between two memory buffers: no I/O. Not thread-safe.
///
/// Safe: the session owns both buffers, and frees them with itself.
@safe final class TLSSession {
    /// What a step came to.
    enum Step {
        case done
        case needsInput
        case ended
        case failed(TLSFailure)
    }

    private let session: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer

    init(_ client: TLSClient) throws(TLSFailure) {
        guard let session = unsafe SSL_new(client.context) else { throw TLSFailure("out of memory for TLS") }
        guard let input = unsafe BIO_new(BIO_s_mem()), let output = unsafe BIO_new(BIO_s_mem()) else {
            unsafe SSL_free(session)
            throw TLSFailure("out of memory for TLS")
        }
        unsafe self.session = unsafe session
        unsafe self.input = unsafe input
        unsafe self.output = unsafe output
        unsafe _ = themis_tls_no_end(input)
        unsafe SSL_set_bio(session, input, output)
        unsafe SSL_set_connect_state(session)
        // An address is not sent as a name, and stands elsewhere in the certificate.
        let isAddress = unsafe X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), client.host) == 1
        if !isAddress {
            guard unsafe SSL_set1_host(session, client.host) == 1, unsafe themis_tls_send_name(session, client.host) == 1 else {
                throw TLSFailure("the host name cannot be checked", isUntrusted: true)
            }
        }
    }

    deinit { unsafe SSL_free(session) }

    /// Takes what the peer sent.
    func receive(_ bytes: UnsafeRawBufferPointer) {
        guard unsafe !bytes.isEmpty else { return }
        let count = unsafe BIO_write(input, bytes.baseAddress, Int32(bytes.count))
        precondition(Int(count) == bytes.count, "out of memory for TLS")
    }

    /// What is to be sent to the peer.
    func takeOutput() -> [UInt8] {
        let waiting = unsafe Int(themis_tls_waiting(output))
        guard waiting > 0 else { return [] }
        return unsafe [UInt8](unsafeUninitializedCapacity: waiting) { bytes, count in
            count = unsafe max(0, Int(BIO_read(output, bytes.baseAddress, Int32(waiting))))
        }
    }

    /// Greets and checks the certificate.
    func handshake() -> Step {
        ERR_clear_error()
        return step(unsafe SSL_do_handshake(session))
    }

    /// Appends what the peer has said to `plain`, until more input is needed.
    func read(into plain: inout [UInt8]) -> Step {
        while true {
            var chunk = [UInt8](repeating: 0, count: 16 << 10)
            ERR_clear_error()
            let count = unsafe SSL_read(session, &chunk, Int32(chunk.count))
            guard count > 0 else { return step(count) }
            plain.append(contentsOf: chunk[..<Int(count)])
        }
    }

    /// Encrypts.
    func write(_ plain: UnsafeRawBufferPointer) -> Step {
        guard unsafe !plain.isEmpty else { return .done }
        ERR_clear_error()
        return step(unsafe SSL_write(session, plain.baseAddress, Int32(plain.count)))
    }

    private func step(_ result: Int32) -> Step {
        guard result <= 0 else { return .done }
        switch unsafe SSL_get_error(session, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .needsInput
        case SSL_ERROR_ZERO_RETURN: return .ended
        default:
            let verdict = unsafe SSL_get_verify_result(session)
            guard verdict == Int(X509_V_OK) else {
                let reason = unsafe X509_verify_cert_error_string(verdict).map { unsafe String(cString: $0) } ?? ""
                return .failed(TLSFailure("the certificate is not trusted: \(reason)", isUntrusted: true))
            }
            return .failed(TLSFailure("TLS failed: \(Self.queuedError())"))
        }
    }

    fileprivate static func queuedError() -> String {
        unsafe ERR_reason_error_string(ERR_peek_last_error()).map { unsafe String(cString: $0) } ?? "the connection broke"
    }
}
