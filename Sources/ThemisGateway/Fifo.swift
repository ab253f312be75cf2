/// A queue in an array: what left the front is dropped when it is the larger part.
struct Fifo<Element> {
    private var elements: [Element?] = []
    private var head = 0

    /// How many wait.
    var count: Int { elements.count - head }

    /// Whether none waits.
    var isEmpty: Bool { head == elements.count }

    /// The one that waits longest.
    var first: Element? { head < elements.count ? elements[head] : nil }

    /// Puts one at the end.
    mutating func append(_ element: Element) { elements.append(element) }

    /// Takes the one that waits longest.
    mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        let element = elements[head]
        elements[head] = nil
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= 1_024, head * 2 >= elements.count {
            elements.removeSubrange(..<head)
            head = 0
        }
        return element
    }
}
