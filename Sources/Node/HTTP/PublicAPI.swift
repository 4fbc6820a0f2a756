import ContactCentre
import Federation

/// The public listener: channels hand in appeals and read nothing.
struct PublicAPI {
    let door: DeskDoor

    struct Submission: Codable, APIRequest {
        static let fields: Set = ["organisation", "subject", "topic", "site", "history"]
        var organisation: String
        var subject: String
        var topic: String?
        var site: String?
        var history: [Strict<Utterance>]

        var said: [Utterance] { history.map(\.value) }

        func check() throws(Problem) {
            for (index, utterance) in said.enumerated() {
                guard Timestamp(rfc3339: utterance.at) != nil, PlainText.isSaid(utterance.text) else {
                    throw Problem(
                        400, "bad-utterance",
                        "history[\(index)] has no text or control characters, or its instant cannot be read.",
                        remedy: "Send at as 2026-11-24T09:15:00.123Z, and what was said.")
                }
            }
        }
    }

    struct Accepted: Codable {
        var id: String
        var number: String
    }

    var routes: HTTPRoutes {
        var routes = HTTPRoutes()
        let door = door
        routes.on("POST", "/api/v1/appeals") { request, responder in
            do {
                let token = try DeskDoor.tokenDigest(request)
                try door.requireChannel(token)
                let submission = try JSONBody.decode(Submission.self, from: request.body)
                try submission.check()
                let history = try History(submission.said)
                door.perform(.intake, request, responder) { transaction in
                    guard let channel = try Accounts.channel(tokenDigest: token, in: transaction) else {
                        throw DeskDoor.unauthorised
                    }
                    return "channel/" + channel.name
                } _: { transaction in
                    guard let channel = try Accounts.channel(tokenDigest: token, in: transaction) else {
                        throw DeskDoor.unauthorised
                    }
                    let intake = Intake(
                        channel: channel.kind, site: submission.site, organisation: submission.organisation,
                        subject: submission.subject, topic: submission.topic, history: history)
                    let appeal = try door.desk.accept(intake, in: transaction)
                    return Idempotency.Answer(
                        status: 201, body: Output.encode(Accepted(id: appeal.id, number: appeal.number)))
                }
            } catch { responder.refuse(Problem(telling: error)) }
        }
        return routes
    }
}
