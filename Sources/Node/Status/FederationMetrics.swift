import Federation

/// What is known of nodes as figures: at the centre of every one, elsewhere of the node itself. Labels are names of the
/// topology and nothing else, so that their number is bounded and none is a person's.
extension Metrics {
    init(_ observation: FederationObservation) {
        family("ekc_build_info", .gauge, "1; which release answers.")
        sample(
            1,
            [
                "version": Release.version, "wire": "\(Hello.protocolVersion)", "store": "\(Store.format)",
            ])
        let isCentre = observation.topology.centre == observation.here
        let nodes = observation.conditions.filter { $0.state == .live && (isCentre || $0.node == observation.here) }
        links(observation)
        presence(nodes, at: observation.now)
        work(nodes, at: observation.now)
        mail(nodes, at: observation.now)
        versions(nodes, at: observation.now)
        storage(nodes)
    }

    private mutating func links(_ observation: FederationObservation) {
        func add(_ name: String, _ help: String, _ value: (LinkStanding) -> Double?) {
            family(name, .gauge, help)
            for link in observation.links {
                guard let value = value(link) else { continue }
                sample(value, ["node": observation.here.text, "peer": link.peer.text])
            }
        }
        add("ekc_link_up", "1 while the link to a neighbour runs.") { $0.state == .running ? 1 : 0 }
        add("ekc_link_paused", "1 while an administrator has paused it.") { $0.state == .paused ? 1 : 0 }
        add("ekc_link_round_trip_seconds", "How long the last ping took.") { link in
            link.echo.map { Double($0.roundTrip) / 1e6 }
        }
    }

    private mutating func add(
        _ name: String, _ help: String, of nodes: [NodeCondition], kind: Kind = .gauge,
        _ value: (NodeCondition) -> Double?
    ) {
        family(name, kind, help)
        for node in nodes { if let value = value(node) { sample(value, ["node": node.node.text]) } }
    }

    private mutating func presence(_ nodes: [NodeCondition], at now: Timestamp) {
        add("ekc_node_reachable", "1 while the node is heard of.", of: nodes) { $0.link?.isUp == true ? 1 : 0 }
        add("ekc_node_dark_seconds", "For how long it is not; 0 while it is.", of: nodes) { node in
            node.darkSince.map { Metrics.age($0, now) } ?? 0
        }
        add("ekc_node_report_age_seconds", "How old what the node last said of itself is.", of: nodes) { node in
            node.heard.map { Metrics.age($0, now) }
        }
        add("ekc_node_clock_skew_seconds", "How far its clock is ahead of this one.", of: nodes) { node in
            node.link?.skew.map { Double($0) / 1000 }
        }
        add("ekc_node_start_timestamp_seconds", "When it was started.", of: nodes) { node in
            node.report.map { Double($0.started.milliseconds) / 1000 }
        }
        add("ekc_node_rewound", "1: its store is behind what peers have seen.", of: nodes) { node in
            node.report.map { $0.isRewound ? 1 : 0 }
        }
        add("ekc_node_draining", "1: it takes nothing new.", of: nodes) { $0.report.map { $0.isDraining ? 1 : 0 } }
    }

    private mutating func work(_ nodes: [NodeCondition], at now: Timestamp) {
        func add(_ name: String, _ help: String, _ value: (NodeReport.Queue?) -> Double?) {
            family(name, .gauge, help)
            for node in nodes where node.report != nil {
                for tenancy in node.tenancies {
                    if let value = value(node.queue(tenancy)) {
                        sample(value, ["node": node.node.text, "tenancy": tenancy])
                    }
                }
            }
        }
        add("ekc_queue_appeals", "Appeals that wait for somebody; L1 is the first line.") { Double($0?.waiting ?? 0) }
        add("ekc_queue_overdue_appeals", "Those past their due time.") { Double($0?.overdue ?? 0) }
        add("ekc_queue_oldest_age_seconds", "How long ago the oldest of the first ones was received; 0: none.") {
            $0?.oldest.map { Metrics.age($0, now) } ?? 0
        }
    }

    private mutating func mail(_ nodes: [NodeCondition], at now: Timestamp) {
        add("ekc_outbox_messages", "Messages that wait at the node for others.", of: nodes) { node in
            node.report.map { Double($0.waiting) }
        }
        add("ekc_outbox_oldest_age_seconds", "How old the oldest of them is; 0: none.", of: nodes) { node in
            node.report.map { $0.oldest.map { Metrics.age($0, now) } ?? 0 }
        }
        add("ekc_outbox_closed_rooms", "Rooms of its outbox that are full for others.", of: nodes) { node in
            node.report.map { Double($0.closedRooms) }
        }
        add("ekc_node_mail_messages", "Messages that wait here for the node.", of: nodes) { node in
            Double(node.mail?.waiting ?? 0)
        }
        add("ekc_node_mail_oldest_age_seconds", "How old the oldest of them is; 0: none.", of: nodes) { node in
            node.mail?.oldest.map { Metrics.age($0, now) } ?? 0
        }
        add("ekc_quarantine_messages", "Messages that the node keeps undecided.", of: nodes) { node in
            node.report.map { Double($0.quarantined) }
        }
        add("ekc_held_elsewhere_messages", "Messages of the node that others keep undecided.", of: nodes) { node in
            node.report.map { Double($0.heldElsewhere) }
        }
        add("ekc_missing_messages", "Messages that are being got back from peers.", of: nodes) { node in
            node.report.map { Double($0.missing) }
        }
        add("ekc_lost_messages_total", "Messages that nobody has any more.", of: nodes, kind: .counter) { node in
            node.report.map { Double($0.lost) }
        }
        add("ekc_unbalanced_streams", "Streams of which the two ends count differently.", of: nodes) { node in
            node.report.map { Double($0.unbalanced) }
        }
    }

    private mutating func versions(_ nodes: [NodeCondition], at now: Timestamp) {
        add("ekc_topology_version", "The version of the topology in force.", of: nodes) { node in
            node.report.map { Double($0.topologyVersion) }
        }
        add("ekc_metadata_age_seconds", "Since the node verified newer signed metadata.", of: nodes) { node in
            node.report.map { Double($0.metadataAge) / 1000 }
        }
        add("ekc_node_denied", "1: a security administrator has taken the node out.", of: nodes) { node in
            node.isDenied ? 1 : 0
        }
        add("ekc_knowledge_entries", "Entries of knowledge, published or applied.", of: nodes) { node in
            node.report.map { Double($0.knowledge) }
        }
        add("ekc_knowledge_stuck_seconds", "For how long it is behind and gets no more; 0: not.", of: nodes) { node in
            node.stuckSince.map { Metrics.age($0, now) } ?? 0
        }
        family("ekc_key_end_timestamp_seconds", .gauge, "When the certificate of a key ends: link, or authority.")
        for node in nodes {
            for key in node.keys(at: now) {
                sample(Double(key.ends.milliseconds) / 1000, ["node": node.node.text, "key": key.name])
            }
        }
    }

    private mutating func storage(_ nodes: [NodeCondition]) {
        add("ekc_store_used_bytes", "Bytes of the store in use.", of: nodes) { $0.report.map { Double($0.usedBytes) } }
        add("ekc_store_quota_bytes", "Bytes that it may use.", of: nodes) { $0.report.map { Double($0.quotaBytes) } }
        add("ekc_disk_room_bytes", "Bytes that the disk still takes.", of: nodes) { node in
            node.report.map { Double($0.diskBytes) }
        }
    }

    private static func age(_ instant: Timestamp, _ now: Timestamp) -> Double {
        Double(max(0, now.milliseconds - instant.milliseconds)) / 1000
    }
}
