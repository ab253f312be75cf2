import ThemisBase

/// Cells of a grid over the earth, numbered along a curve on which near cells mostly have near numbers (Morton order). Any thread.
///
/// A cell is 360° / 2²⁶ wide and 180° / 2²⁶ high: at the equator 60 cm by 30 cm. Which cell a point lies in depends on its latitude and
/// longitude by functions that never fall, so that a box of degrees is a box of cells.
enum GeoCells {
    /// Halvings of each side. Numbers have twice as many bits: exact in a double.
    static let levels = 26
    private static let side = Double(1 << levels)

    /// The number of the cell of a point.
    static func number(_ position: GeoPosition) -> UInt64 {
        interleaved(UInt64(column(position.longitude)), UInt64(row(position.latitude)))
    }

    private static func column(_ longitude: Double) -> Int { cell((longitude + 180) / 360) }
    private static func row(_ latitude: Double) -> Int { cell((latitude + 90) / 180) }

    private static func cell(_ share: Double) -> Int { max(0, min(Int(side) - 1, Int(share * side))) }

    /// Bits of the column at odd places, of the row at even ones.
    private static func interleaved(_ column: UInt64, _ row: UInt64) -> UInt64 { spread(column) << 1 | spread(row) }

    /// Puts a zero in front of every bit.
    private static func spread(_ number: UInt64) -> UInt64 {
        var bits = number & 0xFFFF_FFFF
        bits = (bits | bits << 16) & 0x0000_FFFF_0000_FFFF
        bits = (bits | bits << 8) & 0x00FF_00FF_00FF_00FF
        bits = (bits | bits << 4) & 0x0F0F_0F0F_0F0F_0F0F
        bits = (bits | bits << 2) & 0x3333_3333_3333_3333
        bits = (bits | bits << 1) & 0x5555_5555_5555_5555
        return bits
    }

    /// Cells between two corners, both included.
    private struct Rectangle {
        let columns: ClosedRange<Int>
        let rows: ClosedRange<Int>
    }

    private static func rectangles(_ box: GeoBox) -> [Rectangle] {
        guard box.south <= box.north else { return [] }
        let rows = row(box.south)...row(box.north)
        var result: [Rectangle] = []
        if box.west > box.east {
            result.append(Rectangle(columns: column(box.west)...column(180), rows: rows))
            result.append(Rectangle(columns: column(-180)...column(box.east), rows: rows))
        } else {
            result.append(Rectangle(columns: column(box.west)...column(box.east), rows: rows))
            // The same meridian by its other name.
            if box.east == 180 { result.append(Rectangle(columns: 0...0, rows: rows)) }
        }
        // A pole lies on every meridian, and in one cell.
        if box.south == -90 { result.append(Rectangle(columns: 0...0, rows: 0...0)) }
        if box.north == 90 { result.append(Rectangle(columns: 0...0, rows: row(90)...row(90))) }
        return result
    }

    /// A square of cells: 2^(levels - level) on each side.
    private struct Square {
        let level: Int
        let column: Int
        let row: Int

        private var shift: Int { GeoCells.levels - level }
        private var columns: ClosedRange<Int> { (column << shift)...((column + 1) << shift) - 1 }
        private var rows: ClosedRange<Int> { (row << shift)...((row + 1) << shift) - 1 }

        func overlaps(_ other: Rectangle) -> Bool { columns.overlaps(other.columns) && rows.overlaps(other.rows) }

        func isInside(_ other: Rectangle) -> Bool {
            other.columns.lowerBound <= columns.lowerBound && columns.upperBound <= other.columns.upperBound
                && other.rows.lowerBound <= rows.lowerBound && rows.upperBound <= other.rows.upperBound
        }

        var parts: [Square] {
            (0..<4).map { Square(level: level + 1, column: column << 1 | $0 >> 1, row: row << 1 | $0 & 1) }
        }

        /// The numbers of its cells, which stand together.
        var numbers: Range<UInt64> {
            let first = GeoCells.interleaved(UInt64(column), UInt64(row)) << UInt64(2 * shift)
            return first..<(first + 1 << UInt64(2 * shift))
        }
    }

    /// Ranges of numbers, in their order and apart from each other, that hold every cell of the boxes: at most `Limits.geoRanges`, and
    /// as little more as these allow.
    static func ranges(_ boxes: [GeoBox]) -> [Range<UInt64>] {
        let rectangles = boxes.flatMap(rectangles)
        var inside: [Square] = []
        var border = [Square(level: 0, column: 0, row: 0)].filter { square in rectangles.contains { square.overlaps($0) } }
        var best = merged(border)
        while !border.isEmpty, border[0].level < levels {
            var finer: [Square] = []
            for part in border.flatMap(\.parts) {
                let met = rectangles.filter { part.overlaps($0) }
                if met.contains(where: { part.isInside($0) }) { inside.append(part) } else if !met.isEmpty { finer.append(part) }
            }
            border = finer
            let next = merged(inside + border)
            guard next.count <= Limits.geoRanges else { break }
            best = next
        }
        return best
    }

    private static func merged(_ squares: [Square]) -> [Range<UInt64>] {
        var result: [Range<UInt64>] = []
        for range in squares.map(\.numbers).sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = result.last, last.upperBound == range.lowerBound {
                result[result.count - 1] = last.lowerBound..<range.upperBound
            } else {
                result.append(range)
            }
        }
        return result
    }
}
