import CCrypto

/// The memory of the process as its allocator handles it.
public enum ProcessMemory {
    /// Lets a busy server keep what it frees: requests come and go by the thousand, and by its defaults the allocator would give their
    /// pages back to the kernel and fault them in again, all the time (a fifth of the cost of a durable write).
    ///
    /// Once, before other threads start.
    public static func keepFreed() { themis_keep_freed_memory(keptBytes, mappedBytes) }

    /// Of each heap; there is about one for each busy thread.
    private static let keptBytes = 32 << 20
    /// The largest document: larger pieces are rare, and go back at once.
    private static let mappedBytes = Limits.documentBytes
}
