/// Memory that every stream reads into. Used only within one call.
@safe @NetLoop final class Scratch {
    static let shared = Scratch()
    /// More than the answers of one turn on the connection to the core: a frame that does not fit is copied.
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
}

/// Blocks for answers, lent to streams from the first byte of an answer until the kernel has taken the last: what idles holds none, and
/// an answer costs no allocation.
@NetLoop final class SpareMemory {
    static let shared = SpareMemory()

    /// Most answers fit.
    nonisolated static let blockBytes = 4 << 10
    /// As many as answers of one turn, roughly.
    private static let blocks = 256
    private var buffers: [ByteBuffer.Memory] = []

    func lend(to buffer: inout ByteBuffer) {
        buffer.adopt(buffers.popLast() ?? ByteBuffer.Memory(bytes: Self.blockBytes))
    }

    /// Takes the memory of an empty buffer; what is larger than a block is freed.
    func takeBack(from buffer: inout ByteBuffer) {
        guard buffers.count < Self.blocks, let memory = buffer.takeMemory(bytes: Self.blockBytes) else { return buffer.release() }
        buffers.append(memory)
    }
}
