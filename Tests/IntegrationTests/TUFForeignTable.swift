/// What python-tuf and `ekc tuf` say to each variant of Tests/Foreign/tuf_variants.py.
enum TUFForeignTable {
    struct Row: Sendable {
        var name: String
        var isAcceptedThere: Bool
        /// Of our refusal; nil: we accept.
        var code: String?
        /// What python-tuf raises, where that says what it has found; empty: anything.
        var raised: Set<String> = []
        /// Why the two differ.
        var why: String?
    }

    static let rows: [Row] =
        accepted.map { Row(name: $0, isAcceptedThere: true) }
        + refused.flatMap { code, names in
            names.map { Row(name: $0, isAcceptedThere: false, code: code, raised: raised[code] ?? []) }
        }
        + refusedForAnother.map { name, code, there in
            Row(name: name, isAcceptedThere: false, code: code, raised: [there])
        }
        + stricter.flatMap { code, names, why in
            names.map { Row(name: $0, isAcceptedThere: true, code: code, why: why) }
        }
        + looser.map { name, why in Row(name: name, isAcceptedThere: false, why: why) }

    /// Our code, and what python-tuf raises then. Where there is no entry its words say less than ours.
    private static let raised: [String: Set<String>] = [
        "metadata-threshold": ["UnsignedMetadataError"],
        "root-version": ["BadVersionNumberError"],
        "metadata-rollback": ["BadVersionNumberError", "RepositoryError"],
        "metadata-expired": ["ExpiredMetadataError"],
        "metadata-mismatch": [
            "BadVersionNumberError", "LengthOrHashMismatchError", "DownloadLengthMismatchError",
        ],
        "metadata-missing": ["RepositoryError", "DownloadHTTPError"],
        "metadata-too-large": ["DownloadLengthMismatchError"],
        "target-mismatch": ["LengthOrHashMismatchError", "DownloadLengthMismatchError"],
        "target-unknown": ["LookupError", "DownloadHTTPError"],
    ]

    private static let accepted = [
        "good-first-look", "good-newer", "good-without-hashes", "good-same-again", "good-all-ed25519",
        "good-all-ecdsa", "non-consistent", "consistent-given-up", "root-both", "root-ten", "root-256",
        "root-missing-between", "root-older-tree", "root-expired-between", "root-expired-anchor",
        "timestamp-same-version-other-content", "meta-hash-sha512-only", "fast-forward-recovery",
        "fast-forward-timestamp-key-only", "disk-timestamp-damaged", "disk-snapshot-damaged", "disk-targets-damaged",
        "disk-timestamp-expired", "snapshot-same-version-other-content", "targets-same-version-other-content",
        "online-keys-replaced-targets-older", "largest-root", "largest-timestamp", "largest-snapshot",
        "largest-targets", "signature-of-unknown-key-beside", "signature-garbled-beside-enough",
        "signature-empty-beside-enough", "signature-upper-case", "holders", "key-of-two-roles", "key-id-is-any-text",
        "key-type-of-older-writers", "spec-version-1-0-targets", "spec-version-1-0-99-targets",
        "spec-version-1-1-0-targets", "expires-far", "delegation-first-wins", "delegation-falls-through",
        "delegation-terminating-finds", "delegation-parent-wins", "pattern-star-in-name", "pattern-question",
        "pattern-exact", "pattern-class", "pattern-class-not", "pattern-open-bracket", "pattern-question-cyrillic",
        "pattern-class-cyrillic", "pattern-dot-file", "pattern-many-stars", "delegation-cycle-found",
        "delegation-chain-31", "delegation-chain-40", "delegation-thousand", "delegation-hundred-claim-one-path",
        "delegation-named-with-slash", "delegation-named-climbing", "delegation-named-cyrillic",
        "delegation-named-with-space", "delegation-by-hash-prefix", "target-empty", "target-two-hashes",
        "target-name-cyrillic", "target-name-space", "target-name-quote", "target-name-plus", "target-name-deep",
        "target-name-climbing", "targets-several", "unknown-fields", "json-integer-2-53", "json-integer-negative",
        "json-minus-zero", "json-escapes", "json-text-unescaped", "json-escaped-slash", "json-escape-upper-case",
        "json-names-in-code-point-order", "json-name-escaped", "json-depth-32", "json-space-around", "json-compact",
        "json-members-in-other-order",
    ]

    private static let refused: [(code: String, names: [String])] = [
        (
            "metadata-threshold",
            [
                "root-only-old", "root-only-new", "root-one-of-each", "root-too-few-old",
                "root-own-threshold-not-met", "root-anchor-unsigned", "root-threshold-above-its-keys",
                "unsigned-root", "unsigned-timestamp", "unsigned-snapshot", "unsigned-targets", "unsigned-node-77",
                "signature-garbled-root", "signature-garbled-timestamp", "signature-garbled-snapshot",
                "signature-garbled-targets", "signature-garbled-node-77", "signature-cut-timestamp",
                "signature-cut-snapshot", "signature-by-stranger-root", "signature-by-stranger-timestamp",
                "signature-by-stranger-snapshot", "signature-by-stranger-targets", "signature-by-stranger-node-77",
                "signature-under-borrowed-id-root", "signature-under-borrowed-id-timestamp",
                "signature-under-borrowed-id-snapshot", "signature-under-borrowed-id-targets",
                "signature-under-borrowed-id-node-77", "threshold-not-met-root", "threshold-not-met-targets",
                "signature-malleable", "content-altered", "content-added", "signed-not-canonical",
                "role-of-another-node", "unknown-field-altered-root", "unknown-field-altered-timestamp",
                "unknown-field-altered-snapshot", "unknown-field-altered-targets", "unknown-field-altered-node-77",
            ]
        ),
        (
            "root-version",
            [
                "root-rollback", "root-gap",
            ]
        ),
        (
            "metadata-rollback",
            [
                "root-older-everything", "rollback-timestamp", "rollback-snapshot", "rollback-targets",
                "rollback-node-77", "snapshot-drops-targets", "snapshot-drops-node-77",
                "fast-forward-snapshot-key-only", "fast-forward-not-recovered", "fast-forward-key-added-only",
                "disk-timestamp-expired-rollback", "timestamp-key-replaced-targets-older",
            ]
        ),
        (
            "metadata-malformed",
            [
                "root-without-snapshot-role", "root-with-mirrors-role", "root-without-consistent-snapshot",
                "meta-hash-upper-case", "meta-hashes-empty", "timestamp-names-two-files",
                "timestamp-names-no-snapshot", "signature-twice-targets", "signature-twice-timestamp",
                "signature-twice-for-threshold", "key-id-listed-twice", "key-cut", "key-without-value",
                "key-pem-is-nonsense", "key-of-role-not-listed", "version-zero-timestamp", "version-zero-targets",
                "version-zero-root", "version-text", "version-true", "spec-version-number-targets",
                "field-missing-type", "field-missing-version", "field-missing-spec-version", "field-missing-expires",
                "field-missing-meta", "field-missing-targets", "expires-offset", "expires-fraction", "expires-short",
                "expires-lower-case", "expires-30-february", "expires-leap-second", "expires-hour-24",
                "expires-year-10000", "expires-arabic-digits", "expires-space", "expires-number", "expires-trailing",
                "threshold-0", "threshold-0-delegated", "threshold-negative", "threshold-negative-delegated",
                "threshold-text", "threshold-text-delegated", "threshold-0-anchor", "delegation-twice",
                "delegation-key-not-listed", "delegation-without-scope", "delegation-two-scopes",
                "delegation-without-terminating", "delegation-named-root", "delegation-named-snapshot",
                "delegation-named-empty", "target-length-negative", "target-without-hashes", "target-hashes-empty",
                "target-md5-only", "json-leading-zero", "json-plus", "json-float", "json-float-whole",
                "json-exponent", "json-nan", "json-infinity", "json-control-unescaped", "json-escape-unknown",
                "json-surrogate-alone", "json-surrogates-swapped", "json-utf8-invalid", "json-utf8-overlong",
                "json-utf8-surrogate", "json-utf8-cut", "json-name-twice-first-signed", "json-depth-7000",
                "json-comma-behind-the-last", "json-comment", "json-single-quotes", "json-capital-true",
                "json-rubbish-behind", "json-two-texts", "json-byte-order-mark", "json-utf-16", "json-form-feed",
                "json-zero-behind", "json-is-empty", "json-is-null", "json-is-list", "json-is-object",
                "json-is-number", "json-is-text", "json-is-html", "json-is-signed-only", "json-signed-is-a-list",
                "json-signatures-is-an-object", "json-signature-is-a-text",
            ]
        ),
        (
            "metadata-missing",
            [
                "snapshot-never-had-targets", "snapshot-never-had-node-77", "missing-snapshot", "missing-targets",
                "missing-node-77", "missing-timestamp",
            ]
        ),
        (
            "metadata-expired",
            [
                "expired-timestamp", "expired-snapshot", "expired-targets", "expired-node-77", "expired-root",
                "disk-snapshot-expired", "disk-targets-expired", "disk-node-77-expired",
            ]
        ),
        (
            "metadata-mismatch",
            [
                "mix-version-snapshot", "mix-hash-snapshot", "mix-longer-snapshot", "mix-shorter-snapshot",
                "mix-version-targets", "mix-hash-targets", "mix-longer-targets", "mix-shorter-targets",
                "mix-version-node-77", "mix-hash-node-77", "mix-longer-node-77", "mix-shorter-node-77",
            ]
        ),
        (
            "metadata-too-large",
            [
                "too-large-root", "too-large-timestamp",
            ]
        ),
        (
            "metadata-wrong-type",
            [
                "type-wrong-root", "type-wrong-timestamp", "type-wrong-snapshot", "type-wrong-targets",
                "type-wrong-node-77", "type-of-another-role-root", "type-of-another-role-timestamp",
                "type-of-another-role-snapshot", "type-of-another-role-targets", "type-of-another-role-node-77",
                "type-snapshot-served-as-timestamp", "type-targets-served-as-timestamp",
                "type-targets-served-as-snapshot", "type-snapshot-served-as-targets",
            ]
        ),
        (
            "spec-version",
            [
                "spec-version-2-0-0-targets", "spec-version-0-9-0-targets", "spec-version-1-targets",
                "spec-version-1-0-0-0-targets", "spec-version-suffix-targets", "spec-version-empty-targets",
                "spec-version-01-targets",
            ]
        ),
        (
            "target-unknown",
            [
                "delegation-terminating-ends", "delegation-outside-its-pattern", "delegation-outside-into-another",
                "delegation-star-stays-in-its-folder", "delegation-dots-in-path", "pattern-class-caret",
                "pattern-class-named", "pattern-case", "pattern-backslash", "delegation-cycle",
                "delegation-three-hundred-claim-one-path", "delegation-no-paths", "delegation-by-hash-prefix-other",
                "target-unknown", "target-not-there", "target-name-looks-equal", "targets-one-of-several-unknown",
            ]
        ),
        (
            "target-mismatch",
            [
                "target-altered", "target-longer", "target-shorter", "target-length-wrong",
                "target-one-of-two-hashes-wrong",
            ]
        ),
    ]

    private static let refusedForAnother: [(name: String, code: String, there: String)] = [
        // A key of a kind that is not known makes the whole root unreadable to python-tuf; to us no signature of it counts.
        ("key-kind-unknown", "metadata-threshold", "DeserializationError"),
        // A year that Python does not have is long past to us.
        ("expires-year-0", "metadata-expired", "DeserializationError"),
    ]

    private static let stricter: [(code: String, names: [String], why: String)] = [
        (
            "key-twice",
            [
                "key-under-two-ids", "key-under-two-ids-upper-case", "key-under-two-ids-rewrapped",
                "key-under-two-ids-compressed-point", "key-under-two-ids-delegated",
            ],
            "One person with one key would meet a threshold of two: we count key values, however written, not ids."
        ),
        ("holder-twice", ["holder-twice"], "One person with two keys would meet a threshold of two."),
        (
            "root-too-many", ["root-257"],
            "python-tuf stops at the 257th and goes on with it, though newer ones may have taken its keys away."
        ),
        (
            "metadata-too-large", ["too-large-snapshot", "too-large-targets"],
            "python-tuf lets the length in the metadata above override the limit: whoever signs that fills our memory."
        ),
        (
            "metadata-malformed",
            ["json-name-twice", "json-name-twice-escaped", "json-version-twice", "json-signed-twice"],
            "Of a name that stands twice one reader takes the first and another the last, under one signature."
        ),
        (
            "metadata-malformed", ["json-names-that-look-equal"],
            "Two names that differ in their composition only (U+00E9, U+0065 U+0301) are one to Swift, and to an eye."
        ),
        (
            "metadata-malformed",
            ["json-integer-beyond-2-53", "json-integer-beyond-2-64", "version-beyond-2-53", "version-beyond-2-64"],
            "Beyond 2^53 readers that keep numbers as doubles see another number under the same signature."
        ),
        (
            "metadata-malformed", ["json-depth-33", "json-depth-100"],
            "Depth is bounded before anything is built; python-tuf takes what Python's stack holds."
        ),
        (
            "metadata-malformed", ["threshold-true", "threshold-true-delegated"],
            "In Python true is a number, and a threshold of one."
        ),
        (
            "metadata-malformed", ["signature-odd-digits-beside-enough", "signature-with-spaces"],
            "A signature that is no hex is a fault of whoever wrote it; python-tuf passes over it, or over the spaces."
        ),
        (
            "metadata-malformed", ["key-of-role-not-listed-beside-enough"],
            "A role that names a key which is not there has a lower number of holders than it seems to."
        ),
        (
            "metadata-malformed", ["meta-hash-md5-only"],
            "Two files of one MD5 are made in seconds: without SHA-256 or SHA-512 there is no hash."
        ),
        (
            "spec-version", ["spec-version-arabic-targets"],
            "Digits are those of ASCII; Python's isdigit knows hundreds more."
        ),
        (
            "metadata-malformed", ["delegation-succinct"],
            "Hash bins (TAP 15) are not of TUF 1.0, and our delegations name each node."
        ),
    ]

    private static let looser: [(name: String, why: String)] = [
        (
            "meta-hash-unknown-beside-sha256",
            "SHA-256 is there and holds; python-tuf wants to know every algorithm that is listed."
        ),
        (
            "key-kind-unknown-beside-enough",
            "A newer kind of key beside enough known ones must not cut off the older clients (section 4.2)."
        ),
        (
            "target-name-percent",
            "python-tuf puts the name into the address as it is, so that %25 is read as a percent sign; we escape it."
        ),
        (
            "target-name-question-and-hash",
            "python-tuf puts the name into the address as it is, where ? begins a query; we escape it."
        ),
    ]
}
