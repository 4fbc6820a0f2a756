/// A node's name in the topology: `[a-z0-9-]{1,32}`, such as `subject-77` or `cc-fss`.
package struct NodeID: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let text: String

    /// Nil when the text is not a node name.
    package init?(_ text: String) {
        guard (1...32).contains(text.utf8.count),
            text.utf8.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D })
        else { return nil }
        self.text = text
    }

    /// Not a node: the destination of what the centre publishes for every node. No node may be named so.
    package static let everyone = NodeID(unchecked: "all-nodes")

    private init(unchecked text: String) { self.text = text }

    package var description: String { text }
    package static func < (left: NodeID, right: NodeID) -> Bool { left.text < right.text }
}
