import CCrypto

/// What this build is. The version line of every process and of GET /version.
public enum Build {
    /// The version, by semantic versioning.
    public static let version = "0.1.0"
    /// The commit, or `unknown`.
    public static let commit = unsafe String(cString: themis_build_commit())
    /// The day on which it was compiled, as `2026-11-24`.
    public static let date = date(of: unsafe String(cString: themis_build_date()))

    /// The compiler.
    public static let swift: String = {
        #if compiler(>=6.4)
            return "6.4"
        #elseif compiler(>=6.3.2)
            return "6.3.2"
        #elseif compiler(>=6.3.1)
            return "6.3.1"
        #elseif compiler(>=6.3)
            return "6.3"
        #else
            return "6.2"
        #endif
    }()

    /// The line of `--version`, at the head of each log and behind GET /version.
    public static var line: String { "themis \(version) commit \(commit) built \(date) swift \(swift)" }

    /// `Nov 24 2026` (as a C compiler says it) as `2026-11-24`.
    static func date(of text: String) -> String {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let parts = text.split(separator: " ").map(String.init)
        guard parts.count == 3, let month = months.firstIndex(of: parts[0]), let day = Int(parts[1]) else { return "unknown" }
        func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(parts[2])-\(padded(month + 1))-\(padded(day))"
    }
}
