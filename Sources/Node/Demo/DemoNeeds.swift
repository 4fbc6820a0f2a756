import Federation
import FoundationEssentials
import Glibc

/// What a demo takes of the machine, and whether that is there: said before anything is started.
struct DemoNeeds: Equatable {
    var descriptors: Int
    /// Bytes.
    var memory: Int
    /// Bytes.
    var disk: Int

    /// - Parameter desks: at which somebody works.
    init(nodes: Int, desks: Int, entries: Int, appeals: Int) {
        // In one process: of the centre its links and desks, of the demo its clients, journals and stores.
        descriptors = 2 * nodes + 2 * desks + 256
        memory = (256 + 12 * nodes) << 20
        // The reserve of each store, and what was measured of an entry and of an appeal.
        disk = nodes * (20 << 20 + entries * 2600) + appeals * (16 << 10)
    }

    init(descriptors: Int, memory: Int, disk: Int) {
        (self.descriptors, self.memory, self.disk) = (descriptors, memory, disk)
    }

    /// - Throws: `too-few-descriptors`, `too-little-memory`, `too-little-disk`.
    func require(_ machine: DemoNeeds, in directory: String) throws(FederationError) {
        func mebibytes(_ bytes: Int) -> String { "\(bytes >> 20) MiB" }
        guard machine.descriptors >= descriptors else {
            throw FederationError(
                "too-few-descriptors", "a process may open \(machine.descriptors) files, \(descriptors) are needed",
                remedy: "ulimit -n \(descriptors), as root or by LimitNOFILE; or fewer --nodes")
        }
        guard machine.memory >= memory else {
            throw FederationError(
                "too-little-memory", "\(mebibytes(machine.memory)) are available, \(mebibytes(memory)) are needed",
                remedy: "end something else, or ask for fewer --nodes")
        }
        guard machine.disk >= disk else {
            throw FederationError(
                "too-little-disk", "\(directory): \(mebibytes(machine.disk)) are free, \(mebibytes(disk)) are needed",
                remedy: "name a --directory on a larger disk, or ask for fewer --nodes or --entries")
        }
    }

    /// What this machine has. The limit of open files is raised as far as it may be: nodes inherit it.
    static func machine(_ directory: String) -> DemoNeeds {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)
        var disk = statvfs()
        let isKnown = statvfs(directory, &disk) == 0
        return DemoNeeds(
            descriptors: Int(clamping: limit.rlim_cur), memory: min(available, ownLimit),
            disk: isKnown ? Int(clamping: disk.f_bavail) * Int(clamping: disk.f_frsize) : .max)
    }

    /// `MemAvailable`, proc(5).
    private static var available: Int {
        let lines = text("/proc/meminfo").split(separator: "\n")
        let line = lines.first { $0.hasPrefix("MemAvailable:") }
        return line.flatMap { Int($0.filter(\.isNumber)) }.map { $0 << 10 } ?? .max
    }

    /// Of the control group that this process is in, at the root as a container sees it.
    private static var ownLimit: Int {
        Int(text("/sys/fs/cgroup/memory.max").filter { $0 != "\n" }) ?? .max
    }

    private static func text(_ path: String) -> String {
        String(decoding: (try? Data(contentsOf: URL(fileURLWithPath: path))) ?? Data(), as: UTF8.self)
    }
}
