import Glibc

// What libFuzzer calls. `THEMIS_FUZZ_TARGET` says which target; `Scripts/fuzz.sh` sets it.

/// The target of this process. Written before the first input, by the one thread that fuzzes.
private nonisolated(unsafe) var target: FuzzTarget?

@c(LLVMFuzzerInitialize)
public func initialize(_ count: UnsafeMutablePointer<CInt>?, _ arguments: UnsafeMutableRawPointer?) -> CInt {
    let name = unsafe getenv("THEMIS_FUZZ_TARGET").map { unsafe String(cString: $0) }
    unsafe target = FuzzTarget.all.first { $0.name == name }
    guard unsafe target == nil else { return 0 }
    // Without a target the program lists what there is.
    for target in FuzzTarget.all { print("\(target.name) \(target.longestInput)") }
    exit(name == nil ? 0 : 64)
}

@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    do {
        try unsafe target?.check(Array(UnsafeBufferPointer(start: data, count: size)))
    } catch {
        fatalError("\(error)")
    }
    return 0
}
