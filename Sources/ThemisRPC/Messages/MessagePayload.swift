public import ThemisBase

/// Encoded messages of a stream, each behind its length: made on any thread, sent on the loop.
public struct MessagePayload: Sendable {
    private(set) var bytes: [UInt8] = []

    /// Without messages.
    public init() {}

    /// Bytes so far.
    public var count: Int { bytes.count }

    /// Appends a message.
    ///
    /// - Throws: `invalid_request` when it cannot be encoded; nothing is appended then.
    public mutating func append(_ message: some RPCMessage) throws(ThemisError) {
        let encoded = try message.encoded()
        bytes.appendLittleEndian(UInt32(encoded.count))
        bytes.append(contentsOf: encoded)
    }
}
