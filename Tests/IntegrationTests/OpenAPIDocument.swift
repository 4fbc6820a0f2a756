import Federation
import FederationTestKit
import Testing

/// `docs/api/openapi.json`, as far as the tests ask it.
struct OpenAPIDocument {
    static let path = ArchitecturePaths.root + "/docs/api/openapi.json"

    struct Operation: Hashable, CustomStringConvertible {
        var listener: String
        var method: String
        var pattern: String
        var description: String { "\(listener): \(method) \(pattern)" }
    }

    let root: JSONText.Node

    init() throws {
        root = try JSONText.read(try Files.read(Self.path, maximum: 1 << 20), lenient: false, maximum: 1 << 20)
    }

    func schema(_ name: String) throws -> JSONText.Node {
        try #require(root["components"]?["schemas"]?[name], "\(name)")
    }

    /// Each operation, on each listener that has it.
    var operations: Set<Operation> {
        var found: Set<Operation> = []
        for path in root["paths"]?.members ?? [] {
            for method in path.node.members {
                for server in method.node["servers"]?.items ?? [] {
                    let listener = server["description"]?.text ?? ""
                    found.insert(
                        Operation(listener: listener, method: method.name.uppercased(), pattern: path.name))
                }
            }
        }
        return found
    }

    func operation(_ method: String, _ pattern: String) throws -> JSONText.Node {
        try #require(root["paths"]?[pattern]?[method.lowercased()], "\(method) \(pattern)")
    }

    /// A pointer to the schema of an answer, and the codes that a refusal may have; nil: there is no such answer.
    func response(_ method: String, _ pattern: String, _ status: Int) throws -> (pointer: String, codes: [String])? {
        guard let response = try operation(method, pattern)["responses"]?["\(status)"] else { return nil }
        let schema = response["content"]?.members.first?.node["schema"]
        return (schema?["$ref"]?.text ?? "", response["x-codes"]?.texts ?? [])
    }

    /// Every code of every operation, with its status.
    var codes: Set<String> {
        var found: Set<String> = []
        for path in root["paths"]?.members ?? [] {
            for method in path.node.members {
                for response in method.node["responses"]?.members ?? [] {
                    for code in response.node["x-codes"]?.texts ?? [] { found.insert("\(response.name) \(code)") }
                }
            }
        }
        return found
    }
}
