import Glibc
import ThemisBase
import ThemisStorage
import ThemisTelemetry

/// A child of the storage tests: commits numbered writes, one after another, until it is killed or a write fails.
///
/// `StorageProbe DIRECTORY` prints a number once it is durable; after the first failure it tries once more, prints both errors
/// and the engine's health, and ends with 75 without closing anything, as a core does.
@main enum Main {
    static func main() {
        guard CommandLine.arguments.count == 2 else { exit(64) }
        do throws(ThemisError) {
            let directory = try DataDirectory(opening: CommandLine.arguments[1])
            let telemetry = Telemetry(log: Logger(role: "probe"), metrics: MetricRegistry(), time: SystemTime())
            let mark = try DurableMark(in: directory, telemetry: telemetry)
            var options = RocksDBOptions()
            options.memtableBytes = 1 << 20
            options.minFreeBytes = 0
            options.ballastBytes = 0
            let engine = try RocksDBEngine(opening: directory, options, telemetry: telemetry)
            write(engine, mark, from: try ProbeRecord.last(in: engine) + 1)
        } catch {
            say("open \(error.code.word)")
            exit(1)
        }
    }

    private static func write(_ engine: RocksDBEngine, _ mark: DurableMark, from first: UInt64) {
        var number = first
        while true {
            do throws(ThemisError) {
                try engine.commit(ProbeRecord.batch(number), .synced)
            } catch {
                say("failed \(error.code.word) \(error.outcome?.rawValue ?? "")")
                do throws(ThemisError) {
                    try engine.commit(ProbeRecord.batch(number + 1), .synced)
                    say("went on")
                } catch { say("again \(error.code.word)") }
                if case .failed = engine.health { say("health failed") }
                _exit(75)
            }
            mark.note(epoch: 1, sequence: number)
            say(String(number))
            number += 1
        }
    }

    private static func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        unsafe bytes.withUnsafeBytes { _ = unsafe Glibc.write(1, $0.baseAddress, $0.count) }
    }
}

/// The write with one number; ThemisStorageTests has the same rule.
enum ProbeRecord {
    static func last(in engine: RocksDBEngine) throws(ThemisError) -> UInt64 {
        guard let value = try engine.get(.meta, Array("last".utf8)) else { return 0 }
        var reader = ByteReader(value)
        return reader.bigEndian(UInt64.self) ?? 0
    }

    static func batch(_ number: UInt64) -> WriteBatch {
        var random = SeededRandom(seed: number)
        let size = number % 50 == 49 ? 100_000 : Int.random(in: 0...2_000, using: &random)
        var value: [UInt8] = []
        value.reserveCapacity(size)
        while value.count < size { value.appendBigEndian(random.next()) }
        var key: [UInt8] = []
        key.appendBigEndian(number)
        var batch = WriteBatch()
        batch.put(.entities, key, value)
        batch.put(.changes, key, key)
        batch.put(.meta, Array("last".utf8), key)
        return batch
    }
}
