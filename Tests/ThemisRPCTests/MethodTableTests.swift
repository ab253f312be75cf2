import Testing
import ThemisRPC
import ThemisTestKit

@Suite struct MethodTableTests {
    @Test func `the page of the RPC holds the method table of the code`() throws {
        Golden.expectSection("docs/rpc.md", after: "## Methods\n\n", RPCMethod.documentation)
    }
}
