import Federation

/// The walk through the first ceremony, at a terminal: what the command line does not say is asked.
enum CeremonyTalk {
    static func complete(_ command: inout ParsedCommand) throws {
        let terminal = try Terminal()
        if command.values["topology"] == nil, command.lists["from"] == nil {
            command.values["topology"] = try ask(terminal, "the topology, a file:")
        }
        if command.values["centre"] == nil {
            command.values["centre"] = try ask(terminal, "the folder of the centre's node:")
        }
        if command.lists["answer"] == nil, command.lists["from"] == nil {
            terminal.say("what authorities have answered the nodes, a file a line; an empty line ends:")
            var answers: [String] = []
            while case let file = try terminal.ask("answer:"), !file.isEmpty { answers.append(file) }
            command.lists["answer"] = answers
        }
        let centre = command.values["centre"] ?? ""
        for (role, what, k, n) in [
            ("root", "root: says whose keys count; offline, at different people", 3, 5),
            ("targets", "targets: topology, rights and nodes; offline, never at the centre", 2, 3),
        ] where command.values[role] == nil {
            terminal.say("\n" + what)
            let most = try number(terminal, "how many holders (n)?", 1...32, otherwise: n)
            let least = try number(terminal, "how many of them must sign (k)?", 1...most, otherwise: min(k, most))
            let files = try holders(terminal, role, most, centre)
            command.values[role] = "\(least):" + files.joined(separator: ",")
        }
        if command.values["deny"] == nil {
            terminal.say("\ndeny: each of these alone takes a node out")
            let count = try number(terminal, "how many holders?", 1...32, otherwise: 3)
            command.values["deny"] = try holders(terminal, "deny", count, centre).joined(separator: ",")
        }
        if command.values["reason"] == nil {
            command.values["reason"] = try ask(terminal, "\nthe reason, a sentence; it is signed too:")
        }
    }

    private static func ask(_ terminal: borrowing Terminal, _ question: String) throws -> String {
        while true {
            let answer = try terminal.ask(question)
            if !answer.isEmpty { return answer }
        }
    }

    private static func number(
        _ terminal: borrowing Terminal, _ question: String, _ range: ClosedRange<Int>, otherwise: Int
    ) throws -> Int {
        while true {
            let answer = try terminal.ask("\(question) [\(otherwise)]")
            if answer.isEmpty { return otherwise }
            if let number = Int(answer), range.contains(number) { return number }
            terminal.say("a number from \(range.lowerBound) to \(range.upperBound)")
        }
    }

    /// - Returns: the files with public keys.
    private static func holders(
        _ terminal: borrowing Terminal, _ role: String, _ count: Int, _ centre: String
    ) throws -> [String] {
        var files: [String] = []
        var names: Set<String> = []
        while files.count < count {
            let question =
                "\(role), holder \(files.count + 1) of \(count): a file with .pub, or where to make a key now:"
            let file = try ask(terminal, question)
            do {
                let key = file.hasSuffix(".pub") ? try TUFKey.read(file) : try make(terminal, file, centre)
                guard let holder = key.holder, names.insert(holder).inserted else {
                    terminal.say("\(key.person) has a key of this role already")
                    continue
                }
                files.append(file.hasSuffix(".pub") ? file : file + ".pub")
            } catch let error as FederationError where error.code != "interrupted" {
                terminal.say("\(error)")
            }
        }
        return files
    }

    private static func make(_ terminal: borrowing Terminal, _ file: String, _ centre: String) throws -> TUFKey {
        guard !Files.isInside(file, centre) else {
            throw FederationError(
                "key-at-centre", "\(file) lies in the centre's folder, which holds nothing but what is its own",
                remedy: "name a place of the holder's own, such as a stick that goes away with him")
        }
        let holder = try ask(terminal, "the holder's name:")
        guard TUFKey.isHolder(holder) else {
            throw FederationError(
                "holder-missing", "that is no person's name", remedy: "one line of at most 128 bytes")
        }
        let isMade = try terminal.ask("shall a passphrase be made? [y/N]").lowercased() == "y"
        return try SigningKeyCommands.make(
            file, holder, ParsedCommand(path: ["topology", "key"], flags: isMade ? ["make-passphrase"] : []))
    }
}
