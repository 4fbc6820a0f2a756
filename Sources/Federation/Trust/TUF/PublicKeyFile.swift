/// A holder's public key as a file, `FILE.pub`: the key as it stands in metadata, with `x-holder`. It may go anywhere.
extension TUFKey {
    private static let maximumFileBytes = 8 << 10

    package var file: [UInt8] { JSONText.write(json) }

    /// A person's name: one way to write each, so that nobody counts twice under two.
    package static func isHolder(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 128 && name.isPlainLine
            && !name.hasPrefix(" ") && !name.hasSuffix(" ") && !name.contains("  ")
    }

    /// - Throws: `file-malformed`, `holder-missing`.
    package static func read(_ path: String) throws(FederationError) -> TUFKey {
        let bytes = try Files.read(path, maximum: maximumFileBytes)
        func malformed(_ why: String) -> FederationError {
            FederationError(
                "file-malformed", "\(path) is no public key: \(why)",
                remedy: "name the file with .pub that ekc topology key has written")
        }
        let root: JSONText.Node
        do throws(JSONText.Fault) {
            root = try JSONText.read(bytes, lenient: false, maximum: maximumFileBytes)
        } catch { throw malformed("byte \(error.offset): \(error.message)") }
        let key: TUFKey
        do throws(TUFFault) { key = try TUFKey(SignedFields(root.value, path)) } catch {
            throw malformed(error.detail)
        }
        guard key.scheme != nil else { throw malformed("of a kind that does not count here") }
        guard let holder = key.holder, isHolder(holder) else {
            throw FederationError(
                "holder-missing", "\(path) does not say which person keeps the key",
                remedy: "make it with ekc topology key FILE --holder NAME")
        }
        return key
    }
}

extension String {
    /// One line without control characters or marks that turn its direction: what a terminal shows is what stands there.
    package var isPlainLine: Bool {
        unicodeScalars.allSatisfy { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
            default: true
            }
        }
    }
}

extension TUFRole {
    /// - Throws: `cuts-off-signers` when so many of them cannot sign; `key-twice`, `holder-twice`.
    package init(_ name: String, _ threshold: Int, of keys: [TUFKey]) throws(FederationError) {
        guard (1...max(1, keys.count)).contains(threshold), !keys.isEmpty else {
            throw FederationError(
                "cuts-off-signers", "\(name): \(threshold) of \(keys.count) keys could never sign",
                remedy: "name at least as many keys as must sign, and at least one")
        }
        // By place: two that are the same would be one in a table.
        let placed = keys.enumerated().map { (String($0.offset), $0.element) }
        do throws(TUFFault) {
            try TUFRole(keys: Dictionary(uniqueKeysWithValues: placed), threshold: threshold).requireDistinct(name)
        } catch { throw error.error }
        self.init(keys, threshold: threshold)
    }
}
