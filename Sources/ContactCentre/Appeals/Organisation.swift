/// A participant of the contact centre, by its code in the topology.
package enum Organisation: String, CaseIterable, Sendable, Hashable {
    case oszn = "OSZN"
    case pfr = "PFR"
    case fss = "FSS"
    case mse = "MSE"
    case rostrud = "ROSTRUD"
}
