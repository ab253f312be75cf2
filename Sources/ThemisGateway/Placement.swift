import ThemisBase
import ThemisRPC

/// Says which core holds what. There is one core today; every route asks here, so that more cores are a change of this file.
struct Placement: Sendable {
    private let only: RPCClient

    /// Everything lies in `core`.
    init(_ core: RPCClient) { only = core }

    /// The core of one entity.
    func core(for key: EntityKey) -> RPCClient { only }

    /// The core of a whole table.
    func core(for table: TableName) -> RPCClient { only }

    /// The core that answers for the set: health, statistics, configuration, jobs.
    var main: RPCClient { only }
}
