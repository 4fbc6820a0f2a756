import Federation
import Glibc

/// A holder's key.
enum SigningKeyCommands {
    private struct Made: Encodable {
        var key: String
        var publicKey: String
        var holder: String
        var keyID: String
    }

    static func key(_ command: ParsedCommand) throws -> Int32 {
        let file = command.operands[0]
        let holder = try command.required("holder")
        guard TUFKey.isHolder(holder) else {
            throw UsageError(
                message: "--holder is no person's name",
                remedy: "one line of at most 128 bytes, the same in every key of this person")
        }
        let ways = ["passphrase-fd", "no-passphrase", "make-passphrase"].filter {
            command.flags.contains($0) || command.values[$0] != nil
        }
        guard ways.count <= 1 else {
            throw UsageError(
                message: "--\(ways[0]) and --\(ways[1]) contradict each other", remedy: "leave one of the two")
        }
        guard !Files.exists(file + ".pub") else {
            throw FederationError(
                "file-exists", "\(file).pub is there already", remedy: "name another file for the key")
        }
        keepOutOfCores()
        let key = try make(file, holder, command)
        let made = Made(key: file, publicKey: file + ".pub", holder: holder, keyID: key.id)
        Output.print(
            command, made,
            "key of \(holder): \(file) stays with \(holder); \(file).pub goes to whoever proposes\nkey id \(made.keyID)"
        )
        return 0
    }

    /// Makes a key and the file of its public half.
    static func make(_ file: String, _ holder: String, _ command: ParsedCommand) throws -> TUFKey {
        let passphrase = try Passphrase.new(command, for: holder)
        let key = try SigningKey.create(
            file, scheme: command.flags.contains("ecdsa") ? .ecdsa : .ed25519, passphrase: passphrase, holder: holder)
        try Files.write(key.key.file, to: file + ".pub")
        return key.key
    }

    /// What this process holds goes into no file when it falls.
    static func keepOutOfCores() {
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    }
}

/// Signers of a role as options name them, `3:anna.pub,boris.pub,…`.
enum SignersOption {
    /// - Returns: nil when the option is not there.
    static func role(_ command: ParsedCommand, _ name: String, of role: String? = nil) throws -> TUFRole? {
        guard let text = command.values[name] else { return nil }
        guard let colon = text.firstIndex(of: ":"), let threshold = Int(text[..<colon]) else {
            throw UsageError(
                message: "--\(name) \(text) says not how many must sign",
                remedy:
                    "write how many, a colon, and the files with public keys: --\(name) 2:anna.pub,boris.pub,vera.pub")
        }
        return try TUFRole(role ?? name, threshold, of: try keys(String(text[text.index(after: colon)...])))
    }

    static func keys(_ text: String) throws -> [TUFKey] {
        try text.split(separator: ",").map { try TUFKey.read(String($0)) }
    }
}
