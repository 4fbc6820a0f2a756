import Federation

/// For whoever helps from afar.
enum SupportCommands {
    private struct Written: Encodable {
        var wrote: String
        var files: [String]
        var bytes: Int
    }

    static func bundle(_ command: ParsedCommand) throws -> Int32 {
        let output = try command.required("output")
        guard !Files.exists(output) else {
            throw FederationError("file-exists", "\(output) is there already", remedy: "name another file")
        }
        let (archive, files) = try SupportBundle(NodeFolder(command.operands[0])).archive(log: command.values["log"])
        let bytes = archive.whole
        try Files.write(bytes, to: output, mode: 0o600)
        let written = Written(wrote: output, files: files, bytes: bytes.count)
        Output.print(
            command, written,
            "\(output): \(files.joined(separator: " ")), \(bytes.count >> 10) KiB\n"
                + "no keys, tokens, texts or citizens are in it; tar xf \(output) shows all there is")
        return 0
    }
}
