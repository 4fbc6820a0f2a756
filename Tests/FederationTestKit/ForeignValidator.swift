import Federation

/// Debian's python3-jsonschema, run as a process of its own: whether a value fits a schema is not for our own code to say.
package enum ForeignValidator {
    package struct Case: Sendable {
        /// A pointer into the document: `#/components/schemas/Appeal`.
        package var schema: String
        /// As JSON.
        package var value: String

        package init(schema: String = "#", value: String) {
            self.schema = schema
            self.value = value
        }
    }

    /// - Returns: for each case what is wrong with it, as JSON; `[]` when nothing is.
    package static func faults(_ cases: [Case], in document: String) throws -> [String] {
        let folder = try TemporaryFolder()
        let lines = cases.map { "{\"schema\": \"\($0.schema)\", \"value\": \($0.value.replacing("\n", with: " "))}\n" }
        try Files.write(Array(lines.joined().utf8), to: folder.path + "/cases")
        let answer = try ForeignScript("validate.py", .debian).run([document], input: folder.path + "/cases")
        guard answer.exit == 0, answer.lines.count == cases.count else {
            throw FederationError(
                "foreign-failed", "validate.py: exit \(answer.exit); \(answer.errors.suffix(500))",
                remedy: "make setup installs python3-jsonschema")
        }
        return answer.lines
    }
}
