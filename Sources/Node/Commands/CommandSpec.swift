import Federation

/// A command of `ekc`, as help and parser know it.
struct CommandSpec: Sendable, Equatable {
    struct Operand: Sendable, Equatable {
        var name: String
        var help: String
        var isOptional = false
        /// Takes all that are left.
        var isRepeated = false
    }

    struct Option: Sendable, Equatable {
        /// Without dashes.
        var name: String
        /// What stands for its value in the help; nil: a flag.
        var value: String?
        var help: String
        /// May stand several times.
        var isRepeated = false
        /// Takes two words, which then stand in `lists`: its name says both, `FILE FILE`.
        var isPair = false
    }

    /// Such as `["node", "init"]`.
    var path: [String]
    var summary: String
    var operands: [Operand] = []
    var options: [Option] = []

    static let json = Option(name: "json", help: "print one line of JSON")
}

/// A command line that was understood.
struct ParsedCommand: Sendable, Equatable {
    var path: [String]
    var operands: [String] = []
    var values: [String: String] = [:]
    var flags: Set<String> = []
    /// Values of options that may stand several times.
    var lists: [String: [String]] = [:]

    var json: Bool { flags.contains("json") }
}

/// What is wrong with a command line. Exit code 64.
struct UsageError: Error, Equatable {
    var message: String
    var remedy: String
}

/// Reads command lines in the GNU manner: `--option value`, `--option=value`, `--` ends the options.
struct CommandParser: Sendable {
    enum Outcome: Equatable {
        case run(ParsedCommand)
        case help(String)
    }

    let specs: [CommandSpec]

    func parse(_ arguments: [String]) throws(UsageError) -> Outcome {
        let words = arguments.prefix { !$0.hasPrefix("-") }
        guard let spec = specs.filter({ words.starts(with: $0.path) }).max(by: { $0.path.count < $1.path.count }) else {
            if arguments.contains("--help") || arguments.contains("-h") || arguments.isEmpty || arguments == ["help"] {
                return .help(overview(under: Array(words.first == "help" ? [] : words)))
            }
            throw unknownCommand(Array(words.isEmpty ? arguments.prefix(1) : words))
        }
        var parsed = ParsedCommand(path: spec.path)
        var rest = arguments.dropFirst(spec.path.count)
        var onlyOperands = false
        while let word = rest.popFirst() {
            if onlyOperands || !word.hasPrefix("-") || word == "-" {
                parsed.operands.append(word)
            } else if word == "--" {
                onlyOperands = true
            } else if word == "--help" || word == "-h" {
                return .help(help(for: spec))
            } else {
                try option(word, spec, &rest, &parsed)
            }
        }
        try checkOperands(parsed, spec)
        return .run(parsed)
    }

    private func option(
        _ word: String, _ spec: CommandSpec, _ rest: inout ArraySlice<String>, _ parsed: inout ParsedCommand
    ) throws(UsageError) {
        let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(
            String.init)
        guard word.hasPrefix("--"), let name = parts.first, let option = spec.options.first(where: { $0.name == name })
        else {
            let known = spec.options.map { "--" + $0.name } + ["--help"]
            throw UsageError(
                message: "\(spec.path.joined(separator: " ")) has no option \(parts.first.map { "--" + $0 } ?? word)",
                remedy: "it has \(known.joined(separator: ", "))")
        }
        guard parsed.values[name] == nil, !parsed.flags.contains(name), !option.isPair || parsed.lists[name] == nil
        else {
            throw UsageError(message: "--\(name) stands twice", remedy: "leave one of the two")
        }
        guard option.value != nil else {
            guard parts.count == 1 else {
                throw UsageError(message: "--\(name) takes no value", remedy: "write --\(name) alone")
            }
            parsed.flags.insert(name)
            return
        }
        guard let value = parts.count == 2 ? parts[1] : rest.popFirst() else {
            throw UsageError(message: "--\(name) wants a value", remedy: "write --\(name) \(option.value ?? "VALUE")")
        }
        if option.isPair {
            guard parts.count == 1, let second = rest.popFirst() else {
                throw UsageError(message: "--\(name) wants two values", remedy: "write --\(name) \(option.value ?? "")")
            }
            parsed.lists[name] = [value, second]
        } else if option.isRepeated {
            parsed.lists[name, default: []].append(value)
        } else {
            parsed.values[name] = value
        }
    }

    private func checkOperands(_ parsed: ParsedCommand, _ spec: CommandSpec) throws(UsageError) {
        let least = spec.operands.count { !$0.isOptional }
        let most = spec.operands.contains(where: \.isRepeated) ? Int.max : spec.operands.count
        guard parsed.operands.count >= least, parsed.operands.count <= most else {
            let what = parsed.operands.count < least ? "something is missing" : "there is too much"
            throw UsageError(
                message: "\(spec.path.joined(separator: " ")): \(what)", remedy: "usage: \(usage(of: spec))")
        }
    }

    private func unknownCommand(_ words: [String]) -> UsageError {
        let typed = words.joined(separator: " ")
        let group = specs.filter { $0.path.first == words.first }.map { $0.path.joined(separator: " ") }
        if !group.isEmpty {
            return UsageError(
                message: "there is no command \"\(typed)\"", remedy: "use ekc \(group.joined(separator: ", ekc "))")
        }
        let nearest = Spelling.nearest(to: typed, among: specs.map { $0.path.joined(separator: " ") })
        return UsageError(
            message: "there is no command \"\(typed)\"",
            remedy: "did you mean ekc \(nearest ?? "--help")? ekc --help lists all")
    }

    // MARK: Help

    private func usage(of spec: CommandSpec) -> String {
        let operands = spec.operands.map { operand in
            let name = operand.name + (operand.isRepeated ? "…" : "")
            return operand.isOptional ? "[\(name)]" : name
        }
        return (["ekc"] + spec.path + operands + (spec.options.isEmpty ? [] : ["[options]"])).joined(separator: " ")
    }

    private func help(for spec: CommandSpec) -> String {
        var lines = ["usage: \(usage(of: spec))", "", spec.summary]
        let operands = spec.operands.map { ($0.name, $0.help) }
        let options = (spec.options + [CommandSpec.Option(name: "help", help: "print this")]).map { option in
            ("--" + option.name + (option.value.map { " " + $0 } ?? ""), option.help)
        }
        let width = (operands + options).map(\.0.count).max() ?? 0
        for group in [operands, options] where !group.isEmpty {
            lines.append("")
            lines += group.map { "  " + $0.0 + String(repeating: " ", count: width - $0.0.count + 2) + $0.1 }
        }
        return lines.joined(separator: "\n")
    }

    private func overview(under words: [String]) -> String {
        let shown = specs.filter { $0.path.starts(with: words) }
        let listed = shown.isEmpty ? specs : shown
        let width = listed.map { $0.path.joined(separator: " ").count }.max() ?? 0
        let lines = listed.map { spec in
            let name = spec.path.joined(separator: " ")
            return "  " + name + String(repeating: " ", count: width - name.count + 2) + spec.summary
        }
        return (["usage: ekc COMMAND", ""] + lines + ["", "ekc COMMAND --help says more."]).joined(separator: "\n")
    }
}
