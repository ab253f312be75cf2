import Glibc

/// Seeds of randomised tests: printed by a failing test, replayed by `THEMIS_SEED=n`.
public enum Seed {
    /// The seed of this run: `THEMIS_SEED`, or `fallback`.
    public static func current(_ fallback: UInt64 = 20_261_124) -> UInt64 {
        guard let text = unsafe getenv("THEMIS_SEED"), let value = unsafe UInt64(String(cString: text)) else { return fallback }
        return value
    }
}
