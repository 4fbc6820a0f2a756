/// The version that stands in a topology file, changed in place: every other byte stays as it was written.
package enum TopologyVersion {
    /// - Throws: `topology-invalid` when there is none.
    package static func raised(_ bytes: [UInt8], to version: UInt64) throws(FederationError) -> [UInt8] {
        guard let root = try? JSONText.read(bytes, lenient: true, maximum: TopologyDraft.maximumBytes),
            case .object(let members) = root.value,
            let field = members.first(where: { $0.name == "version" }), case .integer = field.node.value
        else {
            throw FederationError(
                "topology-invalid", "the topology says no version", remedy: "ekc topology check names line and column")
        }
        let digits = bytes[field.node.offset...].prefix { $0 == UInt8(ascii: "-") || (0x30...0x39).contains($0) }
        return bytes[..<field.node.offset] + Array(String(version).utf8) + bytes[digits.endIndex...]
    }
}
