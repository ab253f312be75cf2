import ThemisRuntime

/// `themis_exporter`: the metrics of the whole set, by instance.
@main struct Main {
    static func main() {
        ServiceMain.run([
            ServiceDefinition(
                role: .exporter, summary: "Serves the metrics of the whole set, each series with its instance.",
                start: { try await ExporterProcess($0) })
        ])
    }
}
