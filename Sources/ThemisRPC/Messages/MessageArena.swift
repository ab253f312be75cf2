import CThemisRPC
import Glibc
import ThemisBase

/// The memory of one message while protobuf-c packs or unpacks it: a small block on the stack, then blocks of the heap up to a
/// budget.
///
/// protobuf-c turns two bytes of an empty submessage into some 150 bytes of memory, so a decoder of outside bytes needs the
/// bound. Beyond it the allocator answers NULL, protobuf-c gives the message up, and nothing is left behind: every block is freed
/// when the arena ends. Not for use beyond the closure that receives it.
@safe struct MessageArena: ~Copyable {
    private var next: UnsafeMutableRawPointer
    private var free: Int
    private var budget: Int
    /// Whether a piece was refused.
    private(set) var isSpent = false
    /// The newest heap block; its first word points to the one before.
    private var blocks: UnsafeMutableRawPointer?

    private static let stackBytes = 1_024
    private static let blockBytes = 4_096
    private static let alignment = 16

    private init(stack: UnsafeMutableRawBufferPointer, budget: Int) {
        // The stack block is never empty, so that it has an address.
        unsafe next = unsafe stack.baseAddress.unsafelyUnwrapped
        free = stack.count
        self.budget = budget
        unsafe blocks = nil
    }

    deinit {
        var block = unsafe blocks
        while let current = unsafe block {
            unsafe block = unsafe current.load(as: UnsafeMutableRawPointer?.self)
            unsafe Glibc.free(current)
        }
    }

    /// Runs `body` with an arena that gives at most `budget` bytes.
    static func with<Result>(
        budget: Int, _ body: (inout MessageArena) throws(ThemisError) -> Result
    ) throws(ThemisError) -> Result {
        try unsafe withUnsafeTemporaryAllocation(byteCount: stackBytes, alignment: alignment) {
            stack throws(ThemisError) -> Result in
            var arena = unsafe MessageArena(stack: stack, budget: budget)
            return try body(&arena)
        }
    }

    /// `count` bytes, aligned for every C type, or nil when the budget is spent.
    mutating func allocate(_ count: Int) -> UnsafeMutableRawPointer? {
        guard count >= 0, count <= budget else {
            isSpent = true
            return nil
        }
        let size = max(Self.alignment, (count + Self.alignment - 1) & ~(Self.alignment - 1))
        budget -= min(budget, size)
        if size > free {
            let capacity = max(Self.blockBytes, size)
            guard let block = unsafe malloc(capacity + Self.alignment) else { return nil }
            unsafe block.storeBytes(of: blocks, as: UnsafeMutableRawPointer?.self)
            unsafe blocks = unsafe block
            // A block made for one large piece is full at once: what the old block has left stays in use.
            if capacity - size <= free { return unsafe block + Self.alignment }
            unsafe next = unsafe block + Self.alignment
            free = capacity
        }
        let start = unsafe next
        unsafe next = unsafe next + size
        free -= size
        return unsafe start
    }

    /// Runs `body` with a protobuf-c allocator over this arena.
    mutating func withAllocator<Result>(_ body: (UnsafeMutablePointer<ProtobufCAllocator>) -> Result) -> Result {
        unsafe withUnsafeMutablePointer(to: &self) { arena in
            var allocator = unsafe ProtobufCAllocator(
                alloc: { data, size in
                    guard let data = unsafe data, let size = Int(exactly: size) else { return nil }
                    return unsafe data.assumingMemoryBound(to: MessageArena.self).pointee.allocate(size)
                },
                free: { _, _ in }, allocator_data: UnsafeMutableRawPointer(arena))
            return unsafe body(&allocator)
        }
    }
}
