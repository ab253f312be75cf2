import ThemisBase

/// The keys and documents of a run: the same for the same seed.
struct Documents {
    /// Table of all keys.
    static let table = "bench"
    /// How many keys there are.
    let keys: Int
    /// Bytes of a document, at least `leastBytes`.
    let bytes: Int

    /// The fixed members alone.
    static let leastBytes = 128

    /// The key with a number: nine digits, so that keys sort as numbers do.
    static func pk(_ number: Int) -> String {
        let digits = String(number)
        return "k" + String(repeating: "0", count: max(0, 9 - digits.utf8.count)) + digits
    }

    /// A document of some members and a text that fills it up; half of the text repeats, so that it compresses like `db_bench`'s values.
    func document(_ number: Int, stamp: UInt64 = 0) -> [UInt8] {
        var out = Array(
            #"{"t":\#(stamp),"number":\#(number),"active":true,"ratio":0.25,"tags":["a","b"],"place":{"city":"Ulm"},"text":""#.utf8)
        out.reserveCapacity(bytes)
        var random = SeededRandom(seed: UInt64(number) &+ 1)
        let end = bytes - 2
        let half = out.count + max(0, end - out.count) / 2
        while out.count < half {
            var word = random.next()
            for _ in 0..<10 where out.count < half {
                out.append(Self.alphabet[Int(word & 63)])
                word >>= 6
            }
        }
        while out.count < end { out.append(0x61 + UInt8(out.count & 7)) }
        out.append(contentsOf: [0x22, 0x7D])
        return out
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
}
