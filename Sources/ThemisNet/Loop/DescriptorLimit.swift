import CLinux
import Glibc

/// The limit of open files.
public enum DescriptorLimit {
    /// Raises the soft limit to the hard one. Each connection is a descriptor, and the usual soft limit of 1 024 is for `select`.
    ///
    /// - Returns: the limit in force.
    @discardableResult public static func raise() -> Int {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1_024 }
        let wanted = limit.rlim_max
        if limit.rlim_cur < wanted {
            let before = limit.rlim_cur
            limit.rlim_cur = wanted
            if unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) != 0 { limit.rlim_cur = before }
        }
        return Int(clamping: limit.rlim_cur)
    }
}
