/// The next hop from every node to every other: one number each, as a federation has ten thousand pairs.
struct Ways: Sendable {
    private let nodes: [NodeID]
    private let places: [NodeID: Int]
    /// By destination, then by where from; no node has the last place.
    private var hops: [UInt16]
    private static let none = UInt16.max

    /// Breadth first from each destination, neighbours in the order of their names: the same at every node, and a way is
    /// always the concatenation of next hops.
    /// - Parameter relays: who passes on what is for others; whoever does not may still be an end.
    /// - Precondition: no more nodes than a topology may have.
    init(_ nodes: [NodeID], _ links: [Topology.Link], relays: Set<NodeID>) {
        let places = Dictionary(nodes.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        var neighbours = [[Int]](repeating: [], count: nodes.count)
        for link in links {
            guard let one = places[link.dials], let other = places[link.listens] else { continue }
            neighbours[one].append(other)
            neighbours[other].append(one)
        }
        for place in neighbours.indices { neighbours[place].sort { nodes[$0] < nodes[$1] } }
        self.nodes = nodes
        self.places = places
        hops = [UInt16](repeating: Ways.none, count: nodes.count * nodes.count)
        for destination in nodes.indices {
            let row = destination * nodes.count
            var edge = [destination]
            while !edge.isEmpty {
                var next: [Int] = []
                for place in edge where place == destination || relays.contains(nodes[place]) {
                    for neighbour in neighbours[place]
                    where neighbour != destination && hops[row + neighbour] == Ways.none {
                        hops[row + neighbour] = UInt16(place)
                        next.append(neighbour)
                    }
                }
                edge = next
            }
        }
    }

    func nextHop(from: NodeID, to: NodeID) -> NodeID? {
        guard let from = places[from], let to = places[to] else { return nil }
        let hop = hops[to * nodes.count + from]
        return hop == Ways.none ? nil : nodes[Int(hop)]
    }
}
