import Federation

/// Certificates that end, each judged by the clock of who looks: what the loop of links does with real ones.
extension World {
    private func ends(_ one: NodeID, _ other: NodeID) -> Int64 {
        min(scene.certificateEnds[one.text] ?? .max, scene.certificateEnds[other.text] ?? .max)
    }

    private func seconds(at node: NodeID) -> Int64 { (now + (scene.clockAhead[node.text] ?? 0)) / 1000 }

    func scope(_ one: NodeID, _ other: NodeID, at node: NodeID) -> SessionScope? {
        SessionScope(ends: ends(one, other), at: seconds(at: node))
    }

    /// A session does not outlive the certificate with which it was opened, and gets no more than it had by a new one.
    func lookAtCertificates() {
        for (number, connection) in connections.sorted(by: { $0.key < $1.key }) where !connection.dead {
            for (end, scope) in zip(connection.ends, connection.scopes)
            where self.scope(connection.ends[0].node, connection.ends[1].node, at: end.node) != scope {
                met("certificate ended")
                drop(number)
                break
            }
        }
    }

    /// It has another certificate, and was started with it.
    func renew(_ name: String) {
        guard scene.certificateEnds.removeValue(forKey: name) != nil else { return }
        lookAtCertificates()
    }

    /// Whether words of metadata pass between two nodes.
    func carriesMetadata(_ one: NodeID, _ other: NodeID) -> Bool {
        connections.values.contains { connection in
            !connection.dead && Set(connection.ends.map(\.node)) == [one, other]
                && connection.ends.allSatisfy { nodes[$0.node]?.exchange?.speaksOfMetadata($0.session) == true }
        }
    }

    /// Whether what is accepted passes.
    func carriesPayload(_ one: NodeID, _ other: NodeID) -> Bool {
        connections.values.contains { connection in
            !connection.dead && Set(connection.ends.map(\.node)) == [one, other]
                && connection.ends.allSatisfy { nodes[$0.node]?.exchange?.isRunning($0.session) == true }
        }
    }
}
