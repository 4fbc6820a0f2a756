import ContactCentre
import Federation
import FoundationEssentials

/// Compares what the channels were told with what the stores hold.
enum DemoLedger {
    /// The ids in the channels' journals.
    static func accepted(in directory: String) throws -> [String] {
        var ids: [String] = []
        for index in 0..<64 where Files.exists(directory + "/channel-\(index).journal") {
            let bytes = try Files.read(directory + "/channel-\(index).journal", maximum: 1 << 30)
            for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix("accepted ")
            {
                if let id = line.split(separator: " ").last { ids.append(String(id)) }
            }
        }
        return ids
    }

    /// - Parameter closed: tenancies that are not open.
    static func count(
        accepted: [String], stores: [String: DemoProcess.Count], closed: Set<String>
    ) throws -> Demo.Ledger {
        var ledger = Demo.Ledger()
        var owners: [String: [AppealRecord]] = [:]
        var atCentre: [String: AppealRecord] = [:]
        for (name, store) in stores {
            for appeal in store.appeals {
                if name == "centre" { atCentre[appeal.id] = appeal }
                if appeal.owner == name { owners[appeal.id, default: []].append(appeal) }
            }
            // One citizen record and one place in a queue an appeal.
            for rows in [store.queued, store.citizens] { ledger.duplicated += rows.count - Set(rows).count }
            var seen: Set<String> = []
            for event in store.events {
                if event.event == .escalated { ledger.escalated += 1 }
                if event.event == .returned, name != "centre" { ledger.returned += 1 }
                // An appeal is taken in, resolved and answered once at each node.
                let once: Set<AppealEvent> = [.resolved, .answered, .closed]
                if once.contains(event.event), !seen.insert(event.appeal + event.event.rawValue).inserted {
                    ledger.duplicated += 1
                }
            }
        }
        let unique = Set(accepted)
        ledger.submitted = unique.count
        ledger.duplicated += accepted.count - unique.count
        // What is in the centre's store and no channel was told of would be a second effect of one key.
        ledger.duplicated += atCentre.keys.count { !unique.contains($0) }
        for id in unique {
            let owned = owners[id] ?? []
            if owned.count > 1 { ledger.duplicated += 1 }
            guard let known = atCentre[id] ?? owned.first else {
                ledger.lost += 1
                continue
            }
            if known.state.isFinal, known.outcome == "first-line" {
                ledger.resolvedFirstLine += 1
            } else if known.state.isFinal {
                ledger.answered += 1
            } else if let home = owned.first, closed.contains(home.tenancy ?? ""), home.state != .active {
                ledger.waiting += 1
            } else {
                ledger.inFlight += 1
            }
        }
        return ledger
    }
}

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
