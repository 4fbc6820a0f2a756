import CLinux
import Federation
import Glibc

/// Looks at everything, one thing after another; what a failure makes pointless is left out.
struct NodeCheck {
    private static let smallDisk = 256 << 20
    private static let tightDisk = 1 << 30

    private let folder: NodeFolder
    private let client: HTTPClient

    init(_ folder: NodeFolder) {
        self.folder = folder
        client = HTTPClient(socket: folder.adminSocket, seconds: 5)
    }

    func run() -> CheckCommands.Report {
        // Keys are read here.
        _ = clinux_set_undumpable()
        var report = CheckCommands.Report(node: folder.path, isRunning: false, steps: [])
        look(&report)
        guard let settings = step("settings", &report, { () throws(FederationError) in try folder.settings() }),
            let node = NodeID(settings.node)
        else { return report }
        report.node = settings.node
        report.steps.append(CheckStep("settings", .good, "node.json: \(settings.node) of \(settings.segment)"))
        report.steps.append(disk())
        report.steps += storeSteps(report.isRunning)
        guard let state = step("topology", &report, { () throws(FederationError) in try folder.trust.load().inForce }),
            let topology = topology(state, settings, node, &report),
            let context = step(
                "certificate", &report, { () throws(FederationError) in try folder.context(settings, state) })
        else { return report }
        report.steps += certificate(context, node, state.pins)
        report.steps.append(clock())
        report.steps += ports(settings, topology, node, report.isRunning)
        // One that does not answer is not asked for each of its neighbours, and its links are its own.
        if report.hangs { return report }
        report.steps += neighbours(topology, node, context, report.isRunning)
        return report
    }

    /// Does it, or writes down why it could not be done.
    private func step<Value>(
        _ name: String, _ report: inout CheckCommands.Report, _ body: () throws(FederationError) -> Value
    ) -> Value? {
        do throws(FederationError) { return try body() } catch {
            report.steps.append(CheckStep(name, error))
            return nil
        }
    }

    /// A process that takes the question and does not answer is a third thing.
    private func look(_ report: inout CheckCommands.Report) {
        do throws(FederationError) {
            _ = try client.exchange(AdminAPI.Status.self, "GET", "/api/v1/node")
            report.isRunning = true
        } catch {
            guard error.code == "no-answer" else { return }
            report.isRunning = true
            report.steps.append(CheckStep("node", error))
        }
    }

    // MARK: The machine

    private func disk() -> CheckStep {
        let place = Files.exists(folder.storeFolder) ? folder.storeFolder : folder.path
        var facts = statvfs()
        guard statvfs(place, &facts) == 0, access(place, W_OK) == 0 else {
            return CheckStep(
                "disk", .failed, "\(place): \(String(cString: strerror(errno)))",
                remedy: "make the folder writable for the node's user, on a disk that is mounted for writing")
        }
        let room = Int(clamping: facts.f_bavail) * Int(clamping: facts.f_frsize)
        let words = "\(room >> 20) MiB free at \(place)"
        guard room < NodeCheck.tightDisk else { return CheckStep("disk", .good, words) }
        return CheckStep(
            "disk", room < NodeCheck.smallDisk ? .failed : .doubtful, words,
            remedy: "free the disk, or take a larger one")
    }

    private func clock() -> CheckStep {
        let now = Clocks.wall().rfc3339
        guard clinux_clock_is_kept() == 0 else { return CheckStep("clock", .good, "\(now), kept by NTP") }
        return CheckStep(
            "clock", .doubtful, "\(now); the kernel does not know of anybody who keeps it",
            remedy: "timedatectl set-ntp true; within a container look at the machine itself")
    }

    // MARK: The node

    /// A store that is in use is the running node's to speak of.
    private func storeSteps(_ isRunning: Bool) -> [CheckStep] {
        guard !isRunning, Files.exists(folder.storeFolder + "/data.mdb") else { return [] }
        do throws(StoreError) {
            let engine = try LMDBEngine(directory: folder.storeFolder, tables: [.meta], readOnly: true)
            defer { engine.close() }
            let retired = try Store.read(engine) { transaction throws(StoreError) in
                try Draining.retiredSince(in: transaction)
            }
            guard let retired else { return [CheckStep("store", .good, "it can be read")] }
            return [
                CheckStep(
                    "store", .failed, "the node is retired since \(retired.rfc3339)",
                    remedy: "leave it; if that was a mistake: ekc node retire DIR --undo")
            ]
        } catch {
            return [CheckStep("store", .failed, "\(error.code.rawValue): \(error.detail)", remedy: error.remedy)]
        }
    }

    private func topology(
        _ state: SignedFederation, _ settings: NodeSettings, _ node: NodeID, _ report: inout CheckCommands.Report
    ) -> Topology? {
        let topology = step("topology", &report) { () throws(FederationError) in
            let topology = settings.seen(state.topology)
            try FederationNode.require(node, settings, in: topology)
            return topology
        }
        if let topology {
            report.steps.append(
                CheckStep("topology", .good, "version \(topology.version) names \(node), which is live"))
        }
        return topology
    }

    private func certificate(_ context: TLSContext, _ node: NodeID, _ pins: Pins) -> [CheckStep] {
        let renew = "ekc authority issue with request.json, then ekc node init DIR --answer FILE"
        let days = (context.expires - Clocks.wall().milliseconds / 1000) / 86_400
        let words = "the certificate of the link key ends in \(days) days"
        var steps: [CheckStep] = []
        if context.expires * 1000 <= Clocks.wall().milliseconds {
            let words =
                SessionScope(ends: context.expires, at: Clocks.wall().milliseconds / 1000) == nil
                ? "no neighbour takes this node any more"
                : "neighbours give this node signed metadata, and nothing else"
            steps.append(CheckStep("certificate", .failed, "it has ended: \(words)", remedy: renew))
        } else if days < StatusLimits.certificateDays.warning {
            steps.append(CheckStep("certificate", .doubtful, words, remedy: renew))
        } else {
            steps.append(CheckStep("certificate", .good, words))
        }
        let isPinned = context.rule.record(of: node)?.linkPin == context.pin
        steps.append(
            isPinned
                ? CheckStep("pin", .good, "the signed metadata has this node's own key")
                : CheckStep(
                    "pin", .failed,
                    "the signed metadata has another key for \(node) than its certificate: others refuse it",
                    remedy: "have its newest answer proposed: ekc topology propose DIR OUT --answer FILE"))
        return steps
    }

    private func ports(
        _ settings: NodeSettings, _ topology: Topology, _ node: NodeID, _ isRunning: Bool
    ) -> [CheckStep] {
        var steps: [CheckStep] = []
        if !topology.listens(node).isEmpty {
            guard let own = topology.node(node)?.addresses.first else {
                return [
                    CheckStep(
                        "address", .failed, "others dial \(node), and it has no address in the topology",
                        remedy: "give it one in the next topology: ekc topology propose")
                ]
            }
            steps.append(isRunning ? heldPort(own) : freePort("port", own))
        }
        guard !isRunning else { return steps }
        var wanted = [("operators", settings.operatorsPort ?? 7411), ("metrics", settings.metricsPort ?? 7413)]
        if topology.centre == node { wanted.append(("channels", settings.publicPort ?? 7412)) }
        for (name, port) in wanted where port != 0 {
            steps.append(freePort("port \(name)", Topology.Address(host: "127.0.0.1", port: port)))
        }
        return steps
    }

    private func heldPort(_ own: Topology.Address) -> CheckStep {
        if own.port == 0 { return CheckStep("port", .skipped, "any that is free: the node has said which") }
        return PortProbe.answers(own, milliseconds: 2_000)
            ? CheckStep("port", .good, "\(own) answers")
            : CheckStep(
                "port", .failed, "\(own) does not answer on this machine",
                remedy: "see the firewall of this machine, and the address in the topology")
    }

    private func freePort(_ name: String, _ address: Topology.Address) -> CheckStep {
        do throws(FederationError) {
            try PortProbe.take(address)
            return CheckStep(name, .good, "\(address) is this machine's, and free")
        } catch { return CheckStep(error.code == "port-in-use" ? name : "address", error) }
    }

    /// A running node tests its own links; for one that is stopped they are dialled from here.
    private func neighbours(
        _ topology: Topology, _ node: NodeID, _ context: TLSContext, _ isRunning: Bool
    ) -> [CheckStep] {
        let peers = (topology.dials(node) + topology.listens(node)).sorted()
        return peers.filter { topology.node($0)?.state == .live }.flatMap { peer -> [CheckStep] in
            guard isRunning else { return DialProbe(node: node, topology: topology, context: context).run(to: peer) }
            do throws(FederationError) {
                let test = try client.exchange(
                    FederationNode.LinkTest.self, "POST", "/api/v1/links/\(PercentEncoding.segment(peer.text))/test")
                guard let skew = test.skewMilliseconds, abs(skew) >= StatusLimits.skewMilliseconds.warning else {
                    return test.steps
                }
                return test.steps + [
                    CheckStep(
                        "clock", abs(skew) < StatusLimits.skewMilliseconds.urgent ? .doubtful : .failed,
                        "its clock is \(skew / 1000) s ahead of this one", peer: peer,
                        remedy: "set both clocks by NTP")
                ]
            } catch { return [CheckStep("echo", error, peer: peer)] }
        }
    }
}
