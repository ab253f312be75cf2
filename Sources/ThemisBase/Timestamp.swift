/// Points of time as text.
public enum Timestamp {
    /// RFC 3339 in UTC with milliseconds, for years 0–9999. Any thread.
    public static func text(milliseconds: Int64) -> String {
        let (days, time) = floorDivide(milliseconds, by: 86_400_000)
        // Days since 1970-01-01 to a civil date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2013).
        let shifted = days + 719_468
        let (era, dayOfEra) = floorDivide(shifted, by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(padded(time / 3_600_000, 2)):\(padded(time / 60_000 % 60, 2)):"
            + "\(padded(time / 1_000 % 60, 2)).\(padded(time % 1_000, 3))Z"
    }

    /// The milliseconds since 1970 of an RFC 3339 time; nil when it is none. Finer parts of a second are cut off; a leap second
    /// counts as the one after it.
    public static func milliseconds(parsing text: String) -> Int64? {
        var reader = TimeReader(text)
        guard let year = reader.number(4), reader.take("-"), let month = reader.number(2), reader.take("-"),
            let day = reader.number(2), reader.take("T") || reader.take("t") || reader.take(" "), let hour = reader.number(2),
            reader.take(":"), let minute = reader.number(2), reader.take(":"), let second = reader.number(2),
            (1...12).contains(month), day >= 1, day <= days(of: month, year), hour < 24, minute < 60, second <= 60,
            let milliseconds = reader.fraction(), let offset = reader.offsetMinutes(), reader.isAtEnd
        else { return nil }
        // A civil date to days since 1970-01-01 (Hinnant, as above).
        let shiftedYear = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = floorDivide(shiftedYear, by: 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        return ((days * 24 + hour) * 60 + minute - offset) * 60_000 + second * 1_000 + milliseconds
    }

    private static func days(of month: Int64, _ year: Int64) -> Int64 {
        if month == 2 { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28 }
        return [4, 6, 9, 11].contains(month) ? 30 : 31
    }

    private static func floorDivide(_ value: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
    }
}

/// Reads the parts of a time.
private struct TimeReader {
    private var text: Substring.UTF8View

    init(_ text: String) { self.text = text[...].utf8 }

    var isAtEnd: Bool { text.isEmpty }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard text.first.map(UInt32.init) == character.value else { return false }
        text.removeFirst()
        return true
    }

    /// A number of exactly so many digits.
    mutating func number(_ digits: Int) -> Int64? {
        var value: Int64 = 0
        for _ in 0..<digits {
            guard let digit = digit() else { return nil }
            value = value * 10 + digit
        }
        return value
    }

    private mutating func digit() -> Int64? {
        guard let byte = text.first, (0x30...0x39).contains(byte) else { return nil }
        text.removeFirst()
        return Int64(byte - 0x30)
    }

    /// Milliseconds behind a point; 0 without one.
    mutating func fraction() -> Int64? {
        guard take(".") else { return 0 }
        guard var value = digit() else { return nil }
        var digits = 1
        while let next = digit() {
            if digits < 3 { value = value * 10 + next }
            digits += 1
        }
        while digits < 3 {
            value *= 10
            digits += 1
        }
        return value
    }

    /// `Z`, or hours and minutes.
    mutating func offsetMinutes() -> Int64? {
        if take("Z") || take("z") { return 0 }
        let isNegative = take("-")
        guard isNegative || take("+"), let hours = number(2), take(":"), let minutes = number(2), hours < 24, minutes < 60 else {
            return nil
        }
        return (isNegative ? -1 : 1) * (hours * 60 + minutes)
    }
}
