import ThemisNet

/// Lets so many tasks through at once; the others wait in their order. Lives on the loop.
@NetLoop final class Turnstile {
    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var next = 0

    /// A turnstile with so many places.
    nonisolated init(places: Int) { free = max(1, places) }

    /// Waits for a place. Each `enter` is followed by one `leave`.
    func enter() async {
        guard free == 0 else {
            free -= 1
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    /// Gives the place to the one who waits longest.
    func leave() {
        guard next < waiting.count else {
            free += 1
            return
        }
        let first = waiting[next]
        next += 1
        if next == waiting.count {
            waiting.removeAll(keepingCapacity: true)
            next = 0
        } else if next > 1_024 {
            waiting.removeFirst(next)
            next = 0
        }
        first.resume()
    }
}
