import Federation
import Glibc

/// People and channels. The token is made here, goes to its file, and only its digest to the node.
enum AccountCommands {
    private struct Added: Encodable {
        var name: String
        var tokenFile: String
    }

    static func addOperator(_ command: ParsedCommand) throws -> Int32 {
        let line = try command.required("line")
        if line == "1" { _ = try command.required("organisation") } else { _ = try command.required("tenancy") }
        return try add(command, "/api/v1/operators") { digest in
            Output.encode(
                AdminAPI.NewOperator(
                    name: command.operands[1], organisation: command.values["organisation"],
                    tenancy: command.values["tenancy"], line: line, tokenDigest: digest))
        }
    }

    static func listOperators(_ command: ParsedCommand) throws -> Int32 {
        let people = try NodeCommands.client(command.operands[0])
            .exchange(AdminAPI.People.self, "GET", "/api/v1/operators")
        let lines = people.operators.map {
            "\($0.name)\tline \($0.line)\t\($0.tenancy ?? "\($0.organisation ?? "-"), any subject")"
        }
        Output.print(command, people, lines.isEmpty ? "nobody has a desk here" : lines.joined(separator: "\n"))
        return 0
    }

    static func addChannel(_ command: ParsedCommand) throws -> Int32 {
        let kind = try command.required("kind")
        return try add(command, "/api/v1/channels") { digest in
            Output.encode(AdminAPI.NewChannel(name: command.operands[1], kind: kind, tokenDigest: digest))
        }
    }

    private struct Removed: Encodable { var name: String }

    /// `operator remove` and `channel remove`.
    static func remove(_ command: ParsedCommand) throws -> Int32 {
        let name = command.operands[1]
        _ = try NodeCommands.client(command.operands[0])
            .exchange(AdminAPI.Count.self, "DELETE", "/api/v1/\(command.path[0])s/\(PercentEncoding.segment(name))")
        Output.print(command, Removed(name: name), "\(name) is removed: the token opens nothing any more")
        return 0
    }

    private static func add(
        _ command: ParsedCommand, _ path: String, _ body: (_ digest: String) -> [UInt8]
    ) throws -> Int32 {
        let file = try command.required("token-file")
        guard !Files.exists(file) else {
            throw FederationError(
                "file-exists", "\(file) is there already", remedy: "name another file: a token is never overwritten")
        }
        let token = Hex.encode(Random.bytes(32))
        let digest = Digest.blake2b256(Array(token.utf8)).withBytes { Hex.encode($0) }
        // First the file: a name whose token nobody has could be given to nobody else.
        try Files.write(Array("Authorization: Bearer \(token)\n".utf8), to: file, mode: 0o600)
        do throws(FederationError) {
            _ = try NodeCommands.client(command.operands[0])
                .exchange(AdminAPI.Count.self, "POST", path, body: body(digest))
        } catch {
            // Refused: nobody has this token. When nobody answered, it may have been taken.
            if error.code != "unreachable" && error.code != "answer-malformed" { unlink(file) }
            throw error
        }
        let added = Added(name: command.operands[1], tokenFile: file)
        Output.print(command, added, "\(added.name) added; the token is in \(file), and nowhere else")
        return 0
    }
}
