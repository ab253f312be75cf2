import ThemisBase
import ThemisStorage

extension StorageCursor {
    /// How many pairs are left.
    func count() throws -> Int {
        var count = 0
        while try advance() { count += 1 }
        return count
    }
}
