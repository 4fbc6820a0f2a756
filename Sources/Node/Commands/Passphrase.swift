import CLinux
import Federation
import Glibc

/// The passphrase of a holder's key: typed, or read from a descriptor; never an argument, never in a log.
enum Passphrase {
    static let options = [
        CommandSpec.Option(
            name: "passphrase-fd", value: "N",
            help: "read the passphrase from this descriptor, a line; else it is asked")
    ]

    /// For a key that is made.
    /// - Returns: nil: the key is to lie in the clear.
    static func new(_ command: ParsedCommand, for what: String) throws -> Secret? {
        if command.flags.contains("no-passphrase") {
            Output.error(
                "the key of \(what) lies in the clear: whoever can read its file, a copy or a backup of it, signs with it;"
                    + " nothing but the rights of the file is in the way. For demonstrations and for machines.")
            return nil
        }
        if command.flags.contains("make-passphrase") { return try made(for: what) }
        if let secret = try fromDescriptor(command) {
            try secret.requireStrength()
            return secret
        }
        let terminal = try Terminal()
        let secret = try terminal.askSecretly("passphrase for the key of \(what) (6 words, or 16 characters):")
        try secret.requireStrength()
        let again = try terminal.askSecretly("once more:")
        guard secret.equals(again) else {
            throw FederationError("passphrase-differs", "the two are not the same", remedy: "run it again")
        }
        return secret
    }

    /// For a key that is there.
    static func known(_ command: ParsedCommand, for path: String) throws -> Secret? {
        guard try SigningKey.isProtected(path) else { return nil }
        if let secret = try fromDescriptor(command) { return secret }
        return try Terminal().askSecretly("passphrase of \(path):")
    }

    private static func fromDescriptor(_ command: ParsedCommand) throws -> Secret? {
        guard let text = command.values["passphrase-fd"] else { return nil }
        guard let number = CInt(text), number >= 0, clinux_fcntl_int(number, F_GETFD, 0) >= 0 else {
            throw UsageError(
                message: "--passphrase-fd wants the number of an open descriptor",
                remedy: "such as: --passphrase-fd 3 3< FILE; the passphrase itself is never an argument")
        }
        guard let secret = Secret.line(from: number) else {
            throw FederationError(
                "passphrase-missing", "descriptor \(number) gives no passphrase",
                remedy: "one line of at most \(SigningKey.longestPassphrase) bytes")
        }
        return secret
    }

    /// Shown once, at the terminal only.
    private static func made(for what: String) throws(FederationError) -> Secret {
        let terminal = try Terminal()
        let secret = Secret.drawnPassphrase()
        terminal.say("passphrase for the key of \(what); write it down now, it is shown nowhere else:")
        terminal.show(secret)
        return secret
    }
}
