import ThemisBase

/// Which parts of a document a reader wants.
struct Projection: Sendable {
    let fields: [String]

    /// All of it when `fields` is empty.
    ///
    /// - Throws: `invalid_request` for a path that is none.
    init(_ fields: [String]) throws(ThemisError) {
        self.fields = fields
        if !fields.isEmpty { throw ThemisError(.notImplemented, "projections are being built") }
    }

    func apply(_ document: ArraySlice<UInt8>) throws(ThemisError) -> ArraySlice<UInt8> {
        return document
    }
}

enum JSONPatch {
    static func validateMergePatch(_ patch: [UInt8]) throws(ThemisError) { try JSONDocument.validate(patch) }
    static func validate(_ patch: [UInt8]) throws(ThemisError) { try JSONDocument.validate(patch) }
    static func merge(_ patch: [UInt8], into document: [UInt8]) throws(ThemisError) -> [UInt8] {
        throw ThemisError(.notImplemented, "patches are being built")
    }
    static func apply(_ patch: [UInt8], to document: [UInt8]) throws(ThemisError) -> [UInt8] {
        throw ThemisError(.notImplemented, "patches are being built")
    }
}
