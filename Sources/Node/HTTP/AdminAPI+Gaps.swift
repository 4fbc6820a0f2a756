import ContactCentre
import Federation

/// What is missing here since the store was put back, and the end of waiting for it.
extension AdminAPI {
    struct Gap: Codable {
        var origin: String
        var lane: String
        var incarnation: String
        /// Positions from here on were missing, and through there.
        var first: UInt64
        var last: UInt64
        /// Still missing.
        var missing: UInt64
        /// Nobody has them any more.
        var lost: UInt64
        var since: String

        init(_ stream: StreamID, _ gap: GapRow) {
            origin = stream.origin.text
            lane = "\(stream.lane)"
            incarnation = stream.incarnation.text
            first = gap.first
            last = gap.last
            missing = gap.isOpen ? gap.last - gap.next + 1 : 0
            lost = gap.lost
            since = gap.foundAt.rfc3339
        }
    }

    struct GapsHere: Codable {
        var gaps: [Gap]
        /// What destinations have lost of this node's, by node.
        var lostElsewhere: [String: UInt64]
    }

    struct GivenUp: Codable {
        var lost: UInt64
    }

    func gaps(_ routes: inout HTTPRoutes) {
        let node = node
        admitted(&routes, "GET", "/api/v1/gaps") { _ in
            let all = try node.store.read { transaction throws(StoreError) in try Gaps.list(in: transaction) }
            var found = GapsHere(gaps: [], lostElsewhere: [:])
            for (stream, gap) in all {
                if stream.origin == node.id {
                    found.lostElsewhere[stream.destination.text, default: 0] += gap.lost
                } else {
                    found.gaps.append(Gap(stream, gap))
                }
            }
            return .json(found)
        }
        admitted(&routes, "POST", "/api/v1/gaps/{origin}/give-up") { request in
            let why = try AdminAPI.reason(request)
            guard let origin = NodeID(request.parameters["origin"] ?? "") else {
                throw Problem(400, "bad-node-name", "No node name.", remedy: "ekc gap list shows whose is missing.")
            }
            let actor = AdminAPI.actor(request)
            let lost = try node.store.write(.essential) { [inbox = node.inbox] transaction in
                let lost = try inbox.giveUp(origin, in: transaction)
                guard lost > 0 else {
                    throw FederationError(
                        "no-gap", "nothing of \(origin) is missing here", remedy: "ekc gap list shows whose is")
                }
                try Events.note("gap-given-up", of: "\(origin): \(why)", by: actor, in: transaction)
                return lost
            }
            return .json(GivenUp(lost: lost))
        }
    }
}
