import Federation
import Glibc

/// A plain TUF client, for anybody's repository: proof that what we verify is what others verify.
enum TUFCommands {
    private struct Done: Encodable {
        var root: UInt64
        var timestamp: UInt64?
        var snapshot: UInt64?
        var targets: UInt64?
        /// Files of targets that are there, and were fetched now or before.
        var downloaded: [String]?
    }

    static func run(_ command: ParsedCommand) throws -> Int32 {
        let folder = try command.required("metadata-dir")
        let action = command.operands[0]
        switch (action, command.operands.count) {
        case ("init", 2):
            try TUFClientFolder.create(folder, root: command.operands[1])
            return try done(command, TUFClientFolder(folder), nil)
        case ("refresh", 1):
            var client = try TUFClientFolder(folder)
            try client.refresh(from: try command.required("metadata-url"), WebFiles())
            return done(command, client, nil)
        case ("download", 1): return try download(command, folder)
        default:
            throw UsageError(
                message: "ekc tuf \(command.operands.joined(separator: " ")) is not understood",
                remedy: "use init ROOT, refresh or download")
        }
    }

    private static func download(_ command: ParsedCommand, _ folder: String) throws -> Int32 {
        let names = command.lists["target-name"] ?? []
        guard !names.isEmpty else {
            throw UsageError(
                message: "download wants --target-name", remedy: "name the target's path; several may be named")
        }
        let metadata = try command.required("metadata-url")
        let targets = try command.required("target-base-url")
        let place = try command.required("target-dir")
        let web = WebFiles()
        var client = try TUFClientFolder(folder)
        try client.refresh(from: metadata, web)
        var files: [String] = []
        for name in names {
            files.append(try client.download(name, metadata: metadata, targets: targets, to: place, web))
        }
        return done(command, client, files)
    }

    private static func done(_ command: ParsedCommand, _ client: TUFClientFolder, _ files: [String]?) -> Int32 {
        let trusted = client.trusted
        let done = Done(
            root: trusted.root.common.version, timestamp: trusted.timestamp?.common.version,
            snapshot: trusted.snapshot?.common.version, targets: trusted.targets["targets"]?.common.version,
            downloaded: files)
        let versions = [("timestamp", done.timestamp), ("snapshot", done.snapshot), ("targets", done.targets)]
            .compactMap { name, version in version.map { ", \(name) \($0)" } }.joined()
        Output.print(
            command, done, (["root \(done.root)\(versions)"] + (files ?? [])).joined(separator: "\n"))
        return 0
    }
}

/// The client's folder: the newest verified metadata of each role, without versions in the names, as other clients keep it.
struct TUFClientFolder {
    private let path: String
    private(set) var trusted: TUFTrusted

    static func create(_ path: String, root: String) throws(FederationError) {
        let place = path + "/root.json"
        guard !Files.exists(place) else {
            throw FederationError(
                "already-initialised", "\(place) is there already", remedy: "name an empty folder for another anchor")
        }
        let bytes = try Files.read(root, maximum: TUFRoot.maximumBytes)
        do throws(TUFFault) { _ = try TUFTrusted(anchor: bytes) } catch { throw error.error }
        try Files.makeFolder(path, mode: 0o755)
        try Files.write(bytes, to: place)
    }

    /// What is there and is not good any more counts for nothing.
    init(_ path: String) throws(FederationError) {
        self.path = path
        let root = try Files.read(path + "/root.json", maximum: TUFRoot.maximumBytes)
        do throws(TUFFault) { trusted = try TUFTrusted(anchor: root) } catch { throw error.error }
        if let bytes = try local("timestamp", TUFTimestamp.maximumBytes) {
            _ = try? trusted.update(timestamp: bytes, now: nil)
        }
        if let bytes = try local("snapshot", TUFSnapshot.maximumBytes) {
            try? trusted.update(snapshot: bytes, now: nil)
        }
        if let bytes = try local("targets", TUFTargets.maximumBytes) {
            try? trusted.update(targets: bytes, of: "targets", now: nil)
        }
    }

    private func file(_ role: String) -> String { "\(path)/\(PercentEncoding.segment(role)).json" }

    private func local(_ role: String, _ maximum: Int) throws(FederationError) -> [UInt8]? {
        Files.exists(file(role)) ? try Files.read(file(role), maximum: maximum) : nil
    }

    /// Each role is kept as soon as it is verified.
    mutating func refresh(from url: String, _ web: WebFiles) throws(FederationError) {
        var walk = TUFWalk(trusted, now: Clocks.wall(), takesDelegated: false)
        var kept = 0
        while let wanted = walk.wanted.first {
            let bytes = try web.fetch(TUFClientFolder.url(url, wanted.path), maximum: wanted.maximum)
            let result = Result { () throws(TUFFault) in try walk.arrived(wanted.path, bytes) }
            for verified in walk.verified[kept...] { try Files.write(verified.bytes, to: file(verified.role)) }
            kept = walk.verified.count
            trusted = walk.trusted
            do throws(TUFFault) { try result.get() } catch { throw error.error }
        }
    }

    /// A tree's file under the address of its metadata or of its targets.
    private static func url(_ base: String, _ path: String) -> String {
        // A role's name is escaped already.
        let parts = path.split(separator: "/").dropFirst().map(String.init)
        let rest = path.hasPrefix("targets/") ? parts.map(PercentEncoding.segment) : parts
        return base + (base.hasSuffix("/") ? "" : "/") + rest.joined(separator: "/")
    }

    /// - Returns: where the target is now.
    mutating func download(
        _ name: String, metadata: String, targets: String, to place: String, _ web: WebFiles
    ) throws(FederationError) -> String {
        let isConsistent = trusted.root.isConsistent
        let facts = try find(name, metadata, web)
        let file = "\(place)/\(PercentEncoding.segment(name))"
        let length = facts.length ?? 0
        if Files.exists(file), let known = try? Files.read(file, maximum: length), facts.difference(of: known) == nil {
            return file
        }
        let address = TUFClientFolder.url(targets, TUFWalk.path(ofTarget: name, facts, isConsistent: isConsistent))
        guard let bytes = try web.fetch(address, maximum: length) else {
            throw TUFFault(.targetUnknown, name, "\(address) is not there").error
        }
        if let what = facts.difference(of: bytes) { throw TUFFault(.targetMismatch, name, what).error }
        try Files.makeFolder(place, mode: 0o755)
        try Files.write(bytes, to: file)
        return file
    }

    private mutating func find(
        _ name: String, _ metadata: String, _ web: WebFiles
    ) throws(FederationError) -> TUFFileFacts {
        var search = TUFSearch(name)
        while true {
            switch search.next(in: trusted) {
            case .found(let target): return target
            case .none: throw TUFFault(.targetUnknown, name, "no role that may vouch for it names it").error
            case .load(let role, let parent): try load(role, parent, metadata, web)
            }
        }
    }

    private mutating func load(
        _ role: String, _ parent: String?, _ url: String, _ web: WebFiles
    ) throws(FederationError) {
        if let bytes = try local(role, TUFTargets.maximumBytes),
            (try? trusted.update(targets: bytes, of: role, parent: parent, now: Clocks.wall())) != nil
        {
            return
        }
        guard let meta = trusted.snapshot?.meta[role] else {
            throw TUFFault(.missing, role, "the snapshot does not list it").error
        }
        let path = TUFWalk.path(of: role, version: trusted.root.isConsistent ? meta.version : nil)
        let maximum = min(meta.facts.length ?? TUFTargets.maximumBytes, TUFTargets.maximumBytes)
        guard let bytes = try web.fetch(TUFClientFolder.url(url, path), maximum: maximum) else {
            throw TUFFault(.missing, role, "\(path) is not there").error
        }
        do throws(TUFFault) {
            try trusted.update(targets: bytes, of: role, parent: parent, now: Clocks.wall())
        } catch { throw error.error }
        try Files.write(bytes, to: file(role))
    }
}
