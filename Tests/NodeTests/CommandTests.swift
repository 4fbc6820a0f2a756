import Federation
import Testing

@testable import Node

@Suite("Command line")
struct CommandTests {
    static let parser = CommandParser(specs: Commands.specs)

    @Test(
        "A command line parses",
        arguments: [
            (["node", "run", "/var/lib/ekc"], ParsedCommand(path: ["node", "run"], operands: ["/var/lib/ekc"])),
            (
                ["link", "probe", "d", "centre", "--count=5", "--json"],
                ParsedCommand(
                    path: ["link", "probe"], operands: ["d", "centre"], values: ["count": "5"], flags: ["json"])
            ),
            (
                ["authority", "init", "--segment", "oszn", "--federation", "ekc.test", "--", "-dir"],
                ParsedCommand(
                    path: ["authority", "init"], operands: ["-dir"],
                    values: ["segment": "oszn", "federation": "ekc.test"])
            ),
            (
                [
                    "federation", "init", "out", "--from", "topology.json", "pins.json", "--answer", "a", "--answer",
                    "b",
                ],
                ParsedCommand(
                    path: ["federation", "init"], operands: ["out"],
                    lists: ["from": ["topology.json", "pins.json"], "answer": ["a", "b"]])
            ),
        ])
    func parses(_ arguments: [String], _ expected: ParsedCommand) throws {
        #expect(try CommandTests.parser.parse(arguments) == .run(expected))
    }

    @Test(
        "What cannot be meant explains itself",
        arguments: [
            (["nod", "run"], "there is no command \"nod run\""),
            (["node", "run"], "node run: something is missing"),
            (["node", "run", "a", "b"], "node run: there is too much"),
            (["node", "status", "d", "--jsn"], "node status has no option --jsn"),
            (["node", "status", "d", "--json", "--json"], "--json stands twice"),
            (["node", "status", "d", "--json=1"], "--json takes no value"),
            (["link", "probe", "d", "n", "--count"], "--count wants a value"),
            (["federation", "init", "out", "--from", "a"], "--from wants two values"),
            (["federation", "init", "out", "--from=a", "b"], "--from wants two values"),
            (["federation", "init", "out", "--from", "a", "b", "--from", "c", "d"], "--from stands twice"),
        ])
    func refuses(_ arguments: [String], _ message: String) {
        #expect { try CommandTests.parser.parse(arguments) } throws: { ($0 as? UsageError)?.message == message }
    }

    @Test("Help is whole")
    func help() throws {
        let text = """
            usage: ekc node status DIR [options]

            say how a running node is

              DIR     the node's folder

              --json  print one line of JSON
              --help  print this
            """
        #expect(try CommandTests.parser.parse(["node", "status", "--help"]) == .help(text))
    }
}
