/// How a `RocksDBEngine` is set up. Sizes in bytes.
public struct RocksDBOptions: Sendable {
    /// Where the write-ahead log lies; nil: beside the data.
    public var walDirectory: String?
    /// One memtable of a large keyspace; the small ones get an eighth.
    public var memtableBytes: UInt64 = 64 << 20
    /// All memtables together: the fullest is flushed above it.
    public var totalMemtableBytes: UInt64 = 256 << 20
    /// Cache of uncompressed blocks.
    public var blockCacheBytes: UInt64 = 256 << 20
    /// Files held open. Each has its index and filter in memory.
    public var maxOpenFiles: Int32 = 1_024
    /// One data file.
    public var targetFileBytes: UInt64 = 64 << 20
    /// Log kept before memtables are flushed to free it: bounds the time of a start.
    public var maxTotalWALBytes: UInt64 = 512 << 20
    /// Free space below which writes are refused, so that flushes, compactions and deletes still have room.
    public var minFreeBytes: UInt64 = 512 << 20
    /// A file that is given up when free space falls below a quarter of `minFreeBytes`; 0: none.
    public var ballastBytes: UInt64 = 64 << 20
    /// Compression of the upper levels.
    public var compression = Compression.lz4
    /// Compression of the last level, and of the change log.
    public var bottommostCompression = Compression.zstd
    /// Flushes and compactions at once.
    public var maxBackgroundJobs: Int32 = 2
    /// Whether files are compacted as need arises. Off while a salvage reads damaged files.
    var compactsByItself = true
    /// Whether the replayed log is written to files as the data is opened. Off when the disk has no room for them.
    var flushesOnOpen = true
    /// Whether a clean close writes memtables to files, so that the next start has no log to replay.
    public var flushesOnClose = true

    /// How blocks are compressed.
    public enum Compression: Int32, Sendable {
        /// Not at all.
        case none = 0
        /// Fast.
        case lz4 = 1
        /// Small.
        case zstd = 2

        /// The codec of this name in the configuration.
        public init?(word: String) {
            switch word {
            case "none": self = .none
            case "lz4": self = .lz4
            case "zstd": self = .zstd
            default: return nil
            }
        }
    }

    /// The sizes of an ordinary node.
    public init() {}
}
