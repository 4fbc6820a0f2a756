import ContactCentre
import Federation

/// An appeal as the API shows it.
struct AppealView: Codable {
    var id: String
    var number: String
    var channel: String
    var site: String?
    var receivedAt: String
    var organisation: String
    var subject: String
    var topic: String?
    var state: String
    var owner: String?
    var ownershipEpoch: Int
    var tenancy: String?
    var reason: String?
    var dueAt: String?
    var outcome: String?
    var answer: String?
    var claim: ClaimView?
    /// What answered it.
    var knowledge: [AppealRecord.KnowledgeReference]?
    /// Only for who holds the claim at the home.
    var citizen: CitizenRecord?
    var history: [Utterance]?

    struct ClaimView: Codable {
        var `operator`: String
        var number: Int
        var until: String

        init(_ claim: Claim) {
            `operator` = claim.operator
            number = claim.number
            until = Timestamp(milliseconds: claim.until).rfc3339
        }
    }

    init(_ shown: Desk<Outbox>.Shown) {
        self.init(shown.appeal, claim: shown.claim)
        citizen = shown.citizen
        history = History(bytes: shown.history)?.utterances
    }

    init(_ appeal: AppealRecord, claim: Claim? = nil) {
        id = appeal.id
        number = appeal.number
        channel = appeal.channel.rawValue
        site = appeal.site
        receivedAt = Timestamp(milliseconds: appeal.receivedAt).rfc3339
        organisation = appeal.organisation
        subject = appeal.subject
        topic = appeal.topic
        state = appeal.state.rawValue
        owner = appeal.owner
        ownershipEpoch = appeal.ownershipEpoch
        tenancy = appeal.tenancy
        reason = appeal.reason?.rawValue
        dueAt = appeal.dueAt.map { Timestamp(milliseconds: $0).rfc3339 }
        outcome = appeal.outcome
        answer = appeal.answer
        self.claim = claim.map(ClaimView.init)
        knowledge = appeal.entry.map { [$0] }
    }
}

extension Utterance: APIRequest {
    package static let fields: Set = ["at", "author", "text"]
}

extension KnowledgeEntry: APIRequest {}

extension CitizenRecord: APIRequest {
    package static let fields: Set = ["name", "birthDate", "snils", "phone", "address"]
}
