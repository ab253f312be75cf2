public import ThemisBase
public import ThemisNet

/// Calls without a task, for what comes many thousand times a second.
///
/// `answer` is called once, on the loop, perhaps before the call returns. Abandoning what is returned gives the call up.
extension RPCClient {
    /// Changes one entity.
    ///
    /// - Throws: `invalid_request` for what cannot be sent; everything else comes by `answer`, as `call` throws it.
    public func write(
        _ request: WriteRequest, _ metadata: RequestMetadata, _ answer: @escaping @NetLoop (Result<WriteResponse, ThemisError>) -> Void
    ) throws(ThemisError) -> any PendingWork {
        let call = try makeCall(.write, metadata, request.encoded())
        unsafe call.whenDone { result in
            switch unsafe result {
            case .failure(let error): answer(.failure(error))
            case .success(let bytes):
                do throws(ThemisError) {
                    answer(.success(try unsafe WriteResponse(decoding: bytes)))
                } catch {
                    answer(.failure(error))
                }
            }
        }
        submit(call, nowNanoseconds: call.madeNanoseconds)
        return call
    }

    /// Reads one entity. The document is valid only during `answer`; it is empty beside an error.
    ///
    /// - Throws: as `write`.
    public func get(
        _ request: GetRequest, _ metadata: RequestMetadata,
        _ answer: @escaping @NetLoop (Result<EntityHead, ThemisError>, _ document: RawSpan) -> Void
    ) throws(ThemisError) -> any PendingWork {
        let call = try makeCall(.get, metadata, request.encoded())
        unsafe call.whenDone { result in
            switch unsafe result {
            case .failure(let error): answer(.failure(error), RawSpan())
            case .success(let bytes):
                do throws(ThemisError) {
                    let (head, document) = try unsafe EntityHead.read(bytes)
                    answer(.success(head), unsafe document.bytes)
                } catch {
                    answer(.failure(error), RawSpan())
                }
            }
        }
        submit(call, nowNanoseconds: call.madeNanoseconds)
        return call
    }
}

/// What stands beside the document in the answer of `get`.
public struct EntityHead: Sendable, Equatable {
    /// The version; 0 when there is no such entity.
    public var version: UInt64 = 0
    /// Whether there is no such entity.
    public var missing = false

    /// Reads an `Entity` without unpacking it: the document stays where it is, in the input of the connection.
    static func read(_ bytes: UnsafeRawBufferPointer) throws(ThemisError) -> (head: EntityHead, document: UnsafeRawBufferPointer) {
        var head = EntityHead()
        var document = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        var walk = unsafe ProtobufWalk(bytes)
        while let member = try unsafe walk.next() {
            switch unsafe (member.number, member.wireType) {
            case (3, 0): unsafe head.version = member.value
            case (4, 2): unsafe document = unsafe member.content
            case (5, 0): unsafe head.missing = member.value != 0
            default: break
            }
        }
        return unsafe (head, document)
    }
}
