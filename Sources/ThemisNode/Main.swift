import ThemisRuntime

/// `themis_server`: the core alone, or the whole set on one machine.
@main struct Main {
    static func main() {
        ServiceMain.run([
            Supervisor.definition(versions: CoreProcess.versions, coreFlags: CoreProcess.flags),
            ServiceDefinition(
                role: .core, summary: "Runs the core alone: the data, answering its sidecars over a Unix socket.",
                programFlags: CoreProcess.flags, versions: CoreProcess.versions, start: { try await CoreProcess($0) }),
        ])
    }
}
