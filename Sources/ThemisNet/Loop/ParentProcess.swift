import CLinux
import Glibc

/// The process that started this one.
public enum ParentProcess {
    /// Asks the kernel to send `signal` to this process when its parent ends. Called first thing in `main`.
    ///
    /// - Parameter pid: who the parent should be.
    /// - Returns: false when the parent is gone already: then nobody will ever send the signal, and the caller ends.
    public static func endWithParent(_ pid: Int32, signal: Int32) -> Bool {
        _ = themis_die_with_parent(signal)
        return getppid() == pid
    }
}
