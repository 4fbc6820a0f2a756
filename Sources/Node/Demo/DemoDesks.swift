import ContactCentre
import Federation

/// What the people of the demo do with an appeal: it follows from the number that its channel gave it, so that a seed
/// gives one ledger.
enum DemoDesks {
    static func name(_ tenancy: Topology.Tenancy) -> String {
        tenancy.id.lowercased().replacing("/", with: "-")
    }

    /// Of 20 appeals, 14 are answered from the knowledge; of the rest 5 need personal data.
    static let first: @Sendable (AppealView) -> [(String, OperatorAPI.Act)] = { appeal in
        var act = OperatorAPI.Act()
        let number = decide(appeal)
        if number % 20 < 14 {
            act.entry = firstEntry
            act.revision = 1
            return [("resolve", act)]
        }
        act.reason = number % 20 < 19 ? "PERSONAL" : "SPECIAL"
        return [("escalate", act)]
    }

    static let second: @Sendable (AppealView) -> [(String, OperatorAPI.Act)] = { appeal in
        var answer = OperatorAPI.Act()
        answer.text = "Ответ по обращению \(appeal.number)."
        answer.delivery = "call"
        guard appeal.reason == "PERSONAL" else {
            var back = OperatorAPI.Act()
            back.code = "general"
            // Every tenth SPECIAL one is no matter of this line, once.
            return decide(appeal) % 10 == 9 && appeal.ownershipEpoch == 2 ? [("return", back)] : [("answer", answer)]
        }
        var identity = OperatorAPI.Act()
        identity.citizen = Strict(
            CitizenRecord(
                name: "Образцов Образец", birthDate: "1960-02-29", snils: "112-233-445 95", phone: nil, address: nil))
        return [("identity", identity), ("answer", answer)]
    }

    /// An entry that every demo publishes.
    private static let firstEntry = (try? SampleKnowledge())?.entry(0).id

    private static func decide(_ appeal: AppealView) -> Int {
        Int((appeal.site ?? "").filter(\.isNumber)) ?? 0
    }
}
