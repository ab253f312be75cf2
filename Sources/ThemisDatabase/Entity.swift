public import ThemisBase

/// An entity as it was read.
public struct Entity: Sendable {
    /// Its key.
    public let key: EntityKey
    /// The sequence of its last change.
    public let version: UInt64
    /// When it expires, in milliseconds since 1970; 0 for never.
    public let expiresAtMilliseconds: Int64
    /// The document as it was sent, or its projection; empty when only keys were asked for. JSON text.
    public let document: ArraySlice<UInt8>
}

/// What memory alone can tell about an entity.
public enum CachedEntity: Sendable {
    /// It is there.
    case hit(Entity)
    /// It is surely not there.
    case absent
    /// Only a read that may touch the disk can tell.
    case wouldBlock
}

/// The answer to a read of many keys.
public struct MultiGetResult: Sendable {
    /// In the order of the keys; nil where there is no entity. Ends where the answer is full.
    public var entities: [Entity?]
    /// How many of the last keys were not read.
    public var unread: Int
}

/// What `list` and `export` read.
public struct ListRequest: Sendable {
    /// The table.
    public var table: TableName
    /// Only keys that begin with it.
    public var prefix: String
    /// From the last key to the first.
    public var reverse: Bool
    /// Leaves documents out.
    public var keysOnly: Bool

    /// Puts the parts together.
    public init(table: TableName, prefix: String = "", reverse: Bool = false, keysOnly: Bool = false) {
        self.table = table
        self.prefix = prefix
        self.reverse = reverse
        self.keysOnly = keysOnly
    }
}

/// One page of a list.
public struct ListPage: Sendable {
    /// Ordered by primary key.
    public var entities: [Entity]
    /// Where the next page begins; nil at the end. Opaque.
    public var nextCursor: String?
    /// The state that was read.
    public var sequence: SequenceNumber
}
