import Glibc

/// How many descriptors the process may have open.
enum OpenFiles {
    /// Five listeners that are crowded at once, with everything that a node has open besides.
    static let wanted: rlim_t = 8192

    /// Raises the soft limit, as far as the hard one lets it; services and shells are often started with 1,024.
    static func raiseLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < wanted else {
            return
        }
        limit.rlim_cur = min(wanted, limit.rlim_max)
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
