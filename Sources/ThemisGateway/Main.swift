import ThemisRuntime

/// `themis_gateway`: turns public HTTP into calls of the core.
@main struct Main {
    static func main() {
        ServiceMain.run([
            ServiceDefinition(
                role: .gateway, summary: "Answers the public HTTP interface by asking the core.", answersRequests: true,
                start: { try await GatewayProcess($0) })
        ])
    }
}
