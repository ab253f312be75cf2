/// Values by stream id: an array for the small ids that a client uses again and again, a dictionary for others.
///
/// Hashing an id costs as much as the rest of the bookkeeping of a request. Whoever chooses large ids pays for a dictionary, and nobody
/// can make the array longer than its bound.
struct StreamTable<Value> {
    private var near: [Value?] = []
    private var far: [UInt32: Value] = [:]
    /// Values that are present.
    private(set) var count = 0

    private static var nearLimit: UInt32 { 2_048 }

    subscript(stream: UInt32) -> Value? {
        get {
            if stream < near.count { return near[Int(stream)] }
            return stream < Self.nearLimit ? nil : far[stream]
        }
        _modify {
            guard stream < Self.nearLimit else {
                let before = far.count
                yield &far[stream]
                count += far.count - before
                return
            }
            while near.count <= stream { near.append(nil) }
            let was = near[Int(stream)] != nil
            yield &near[Int(stream)]
            let isThere = near[Int(stream)] != nil
            if was != isThere { count += isThere ? 1 : -1 }
        }
    }

    /// Puts `value` in. Cheaper than the subscript, which lends the place out.
    mutating func insert(_ value: Value, at stream: UInt32) {
        guard stream < Self.nearLimit else {
            if far.updateValue(value, forKey: stream) == nil { count += 1 }
            return
        }
        while near.count <= stream { near.append(nil) }
        if near[Int(stream)] == nil { count += 1 }
        near[Int(stream)] = value
    }

    /// Whether there is a value.
    func contains(_ stream: UInt32) -> Bool {
        if stream < near.count { return near[Int(stream)] != nil }
        return stream >= Self.nearLimit && far[stream] != nil
    }

    /// Takes the value out.
    mutating func remove(_ stream: UInt32) -> Value? {
        guard stream < Self.nearLimit else {
            guard let value = far.removeValue(forKey: stream) else { return nil }
            count -= 1
            return value
        }
        guard stream < near.count, let value = near[Int(stream)] else { return nil }
        near[Int(stream)] = nil
        count -= 1
        return value
    }

    /// All values, by stream.
    var values: [Value] { near.compactMap { $0 } + far.values }

    /// Takes all values out.
    mutating func removeAll() -> [Value] {
        let all = values
        self = StreamTable()
        return all
    }
}
