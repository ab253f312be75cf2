import ThemisBase
import ThemisFeed
import ThemisNet
import ThemisRPC
import ThemisRuntime
import ThemisTelemetry

/// `themis_changefeed`: pages and streams of change records, scaled for fan-out.
@main struct Main {
    static func main() {
        ServiceMain.run([
            ServiceDefinition(
                role: .changefeed, summary: "Serves the changefeed: pages, long polls and streams of server-sent events.",
                answersRequests: true, start: { try await ChangefeedProcess($0) })
        ])
    }
}
