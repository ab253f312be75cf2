import Glibc
import ThemisBase
import ThemisRPC

/// Requests of one method to draw from, out of a file with one in each line.
struct RequestLines {
    let method: UInt16
    /// Encoded, with the metadata block.
    private(set) var bodies: [ArraySlice<UInt8>] = []

    /// A file is read whole: some tens of thousand requests of a kibibyte.
    private static let largestBytes = 1 << 30

    /// Reads the lines of the file at `path`: `pk document` for the method `Write`, the JSON body for methods whose body is JSON.
    ///
    /// - Throws: `invalid_request`.
    init(_ path: String, method name: String) throws(ThemisError) {
        guard let method = RPCMethod.all.first(where: { $0.name == name }), method.shape == .unary else {
            throw ThemisError(.invalidRequest, "the core has no unary method \(name)")
        }
        self.method = method.number
        for line in try Self.contents(path).split(separator: 0x0A) {
            guard method == .write else {
                bodies.append(try CoreWire.body(TextRequest(text: Array(line))))
                continue
            }
            guard let space = line.firstIndex(of: 0x20) else { throw ThemisError(.invalidRequest, "a line is a key, a space, a document") }
            let pk = String(decoding: line[..<space], as: UTF8.self)
            let document = Array(line[(space + 1)...])
            bodies.append(
                try CoreWire.body(WriteRequest(operation: OperationMessage(kind: .put, table: Documents.table, pk: pk, body: document))))
        }
        guard !bodies.isEmpty else { throw ThemisError(.invalidRequest, "\(path) has no lines") }
    }

    private static func contents(_ path: String) throws(ThemisError) -> [UInt8] {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw ThemisError(.invalidRequest, "\(path): \(unsafe String(cString: strerror(errno)))") }
        defer { close(file) }
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 1 << 20)
        while bytes.count <= largestBytes {
            let count = unsafe block.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
            if count == 0 { return bytes }
            guard count > 0 else { throw ThemisError(.invalidRequest, "\(path): \(unsafe String(cString: strerror(errno)))") }
            bytes.append(contentsOf: block[..<count])
        }
        throw ThemisError(.invalidRequest, "\(path) is larger than \(largestBytes) bytes")
    }
}
