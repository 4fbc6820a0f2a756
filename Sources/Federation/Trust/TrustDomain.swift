/// A segment's trust domain in the sense of SPIFFE, `<segment>.<federation>`, such as `oszn.ekc.test`: the names that one
/// authority may certify.
package struct TrustDomain: Sendable, Hashable, CustomStringConvertible {
    package let segment: String
    package let federation: String

    /// - Throws: `bad-segment-name` unless the segment is `[a-z0-9-]{1,32}`; `bad-federation-name` unless the federation
    ///   is a DNS name in lower case of at most 128 bytes, so that every URI of ours fits 255.
    package init(segment: String, federation: String) throws(FederationError) {
        guard NodeID(segment) != nil else {
            throw FederationError(
                "bad-segment-name", "\"\(segment)\" is no segment name", remedy: "use [a-z0-9-]{1,32}, such as oszn")
        }
        guard TopologyDraft.isDomain(federation) else {
            throw FederationError(
                "bad-federation-name", "\"\(federation)\" is no federation name",
                remedy: "use a DNS name in lower case, such as ekc.test")
        }
        self.segment = segment
        self.federation = federation
    }

    package var description: String { "\(segment).\(federation)" }

    /// The one name of a node's certificate.
    package func uri(of node: NodeID) -> String { "spiffe://\(self)/node/\(node)" }
}
