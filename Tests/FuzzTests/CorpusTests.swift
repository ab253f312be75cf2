import Foundation
import Testing
import ThemisBase
import ThemisTestKit

/// Every kept input holds, and so do inputs near them. `make fuzz` searches further.
@Suite struct CorpusTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Corpus")
    private static let rounds = 200
    private static let corpusBytes = 200 << 10

    private static func corpus(_ target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
        let directory = folder.appendingPathComponent(target.name)
        return try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted().map { name in
            (name, Array(try Data(contentsOf: directory.appendingPathComponent(name))))
        }
    }

    @Test(arguments: FuzzTarget.all.map(\.name))
    func `every kept input holds`(name: String) throws {
        let target = try #require(FuzzTarget.all.first { $0.name == name })
        let inputs = try Self.corpus(target)
        #expect(inputs.count >= 5, "\(name) has no corpus")
        for input in inputs {
            do { try target.check(input.bytes) } catch { Issue.record("\(name)/\(input.name): \(error)") }
        }
    }

    @Test(arguments: FuzzTarget.all.map(\.name))
    func `what is near a kept input holds`(name: String) throws {
        let target = try #require(FuzzTarget.all.first { $0.name == name })
        let inputs = try Self.corpus(target)
        let seed = Seed.current()
        var random = SeededRandom(seed: seed)
        for round in 0..<Self.rounds {
            var bytes = inputs.randomElement(using: &random)?.bytes ?? []
            Self.change(&bytes, with: inputs.randomElement(using: &random)?.bytes ?? [], &random)
            do {
                try target.check(bytes)
            } catch {
                // One is enough: the next ones are mostly the same.
                Issue.record("\(name), seed \(seed), round \(round): \(error) by \(bytes)")
                return
            }
        }
    }

    @Test func `the corpora are small and every one has a target`() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path).sorted()
        #expect(folders == FuzzTarget.all.map(\.name).sorted())
        let bytes = try FuzzTarget.all.reduce(0) { sum, target in try sum + Self.corpus(target).reduce(0) { $0 + $1.bytes.count } }
        #expect(bytes <= Self.corpusBytes, "\(bytes) bytes; `Scripts/fuzz.sh minimize` keeps what finds something new")
    }

    /// Changes a few places, as libFuzzer does without looking at the code.
    private static func change(_ bytes: inout [UInt8], with other: [UInt8], _ random: inout SeededRandom) {
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let index = Int.random(in: 0...bytes.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0 where index < bytes.count: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1 where index < bytes.count: bytes[index] = UInt8.random(in: 0...255, using: &random)
            case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
            case 3 where index < bytes.count: bytes.removeSubrange(index..<min(bytes.count, index + 8))
            case 4: bytes.insert(contentsOf: other.prefix(Int.random(in: 0...32, using: &random)), at: index)
            default: bytes.removeSubrange(index...)
            }
        }
    }
}
