/// Synthetic knowledge and the list of subjects that the demo and the generators draw from.
package enum SampleData {
    /// UTF-8 JSON: 60 questions with paraphrases and answers, by organisation and line. Synthetic, not advice.
    package static var knowledge: [UInt8] { PackageResources.kb_sample_json }
    /// `topology/demo.json`: what the demo runs.
    package static var demoTopology: [UInt8] { PackageResources.demo_topology_json }
    /// `topology/federation.json`: the scheme of 2022.
    package static var federationTopology: [UInt8] { PackageResources.federation_topology_json }
    /// UTF-8 JSON: the 89 subjects of the Federation: code, names, time zone, district.
    package static var subjects: [UInt8] { PackageResources.subjects_json }
}
