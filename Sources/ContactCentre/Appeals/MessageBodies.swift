package import Federation
import FoundationEssentials

/// An appeal on its way to its home, from the centre or from the home that had it. The history travels as the text that was accepted: its bytes do not change.
struct EscalationBody: Codable, Sendable, Hashable {
    var format = 1
    var id: String
    var number: String
    var channel: AppealRecord.Channel
    var site: String?
    var receivedAt: Int64
    var organisation: String
    var subject: String
    var topic: String?
    var reason: EscalationReason
    var tenancy: String
    var ownershipEpoch: Int
    var returns: Int
    /// When a home that has moved had promised it.
    var dueAt: Int64?
    var history: String

    /// What an epoch of somebody else may be: two are added at a hand-over and its return.
    static let epochs = 2...1_000_000
    /// More than one appeal is handed over, given back and passed on while the centre's store lives.
    static let epochsOfALife = 1_000

    init(_ appeal: AppealRecord, history: [UInt8]) {
        id = appeal.id
        number = appeal.number
        channel = appeal.channel
        site = appeal.site
        receivedAt = appeal.receivedAt
        organisation = appeal.organisation
        subject = appeal.subject
        topic = appeal.topic
        reason = appeal.reason ?? .personal
        tenancy = appeal.tenancy ?? ""
        ownershipEpoch = appeal.ownershipEpoch
        returns = appeal.returns
        self.history = String(decoding: history, as: UTF8.self)
    }
}

/// What became of an escalated appeal. `text` only of a SPECIAL one: of a PERSONAL one it stays at home.
struct AnswerBody: Codable, Sendable, Hashable {
    var format = 1
    var id: String
    var ownershipEpoch: Int
    /// `answered` or `refused` (the identity was not confirmed).
    var outcome: String
    var at: Int64
    var text: String?
}

/// A home says which appeals it has, when it was put back from a backup, has got one from another home, or is asked by a
/// centre that was put back; it is told where it has not: body of kind `status`, in both directions.
struct StatusBody: Codable, Sendable, Hashable {
    struct Told: Codable, Sendable, Hashable {
        var id: String
        /// Under which the home has it, or may have it: what has a higher one by now is not meant.
        var ownershipEpoch: Int
        /// `answered` or `refused`, as the home had said; absent: it has left the home.
        var outcome: String?
        var at: Int64?
    }

    /// What a home has.
    struct Mine: Codable, Sendable, Hashable {
        var id: String
        var ownershipEpoch: Int
        var tenancy: String
        var reason: EscalationReason
        /// When it is done.
        var outcome: String?
        var at: Int64?
    }

    /// Appeals in one message.
    static let most = 200

    var format = 1
    var told: [Told]?
    /// The centre asks for everything, after this appeal; empty: from the first.
    var everythingAfter: String?
    var mine: [Mine]?
    /// There is more behind the last of `mine`: its id, or of one that was passed over.
    var goesOnAfter: String?
    /// A home has seen that another one has lost messages.
    var lostAt: String?
    /// The centre asks whether the home knows these, for it has lost messages; and which it does not.
    var believed: [Told]?
    var unknown: [Told]?
}

/// An appeal given back to the first line, with its history: the centre may have let go of it.
struct ReturnBody: Codable, Sendable, Hashable {
    var format = 1
    var id: String
    /// The centre's, from now on.
    var ownershipEpoch: Int
    var code: String
    var history: String
}

/// Why an appeal went back, or was resolved without an entry: one of a list, never text, for it is kept at the centre.
package enum ReasonCode: String, CaseIterable, Sendable {
    /// A general question: no personal data and no special knowledge are needed.
    case general
    /// Of another participant.
    case otherOrganisation = "other-organisation"
    /// Of another subject.
    case otherSubject = "other-subject"
    /// The citizen has said that nothing is needed any more.
    case withdrawn
    /// The citizen has asked the same before.
    case duplicate
    /// It cannot be understood, and the citizen cannot be asked.
    case unclear
    /// Nothing that this contact centre is for.
    case outOfScope = "out-of-scope"
    /// There is an answer, and no entry for it yet.
    case noEntry = "no-entry"

    static func require(_ code: String) throws(DomainError) {
        guard ReasonCode(rawValue: code) == nil else { return }
        throw DomainError(
            .badInput, "bad-code", "the reason is none of the list",
            remedy: "use \(allCases.map(\.rawValue).joined(separator: ", "))")
    }
}

enum MessageBody {
    /// What every message about an appeal has.
    struct Named: Decodable { var id: String }

    static func encode(_ body: some Encodable) throws(StoreError) -> EnvelopeBody {
        guard let data = try? AppealRows.encoder.encode(body) else {
            throw StoreError(.engine, "a message cannot be encoded", remedy: "report this as a fault")
        }
        return EnvelopeBody(bytes: Array(data))
    }

    /// - Throws: `body-invalid`, which goes back to the origin.
    static func decode<Body: Decodable>(_ type: Body.Type, _ envelope: Envelope) throws(Rejection) -> Body {
        guard let body = try? JSONDecoder().decode(type, from: Data(envelope.body.bytes)) else {
            throw Rejection("body-invalid")
        }
        return body
    }
}

/// Days of the calendar, in UTC, for dated homes.
package enum Calendar8601 {
    package static func date(_ instant: Timestamp) -> String {
        let parts = Date(timeIntervalSince1970: Double(instant.milliseconds) / 1000).ISO8601Format()
        return String(parts.prefix(10))
    }
}
