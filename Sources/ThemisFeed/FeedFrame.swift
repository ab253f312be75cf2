import ThemisBase
import ThemisRPC

/// Frames of the event stream (WHATWG HTML, "Server-sent events"). A frame is whole in itself: frames can be joined at will.
enum FeedFrame {
    /// An event with an id: `id`, optional `event`, one `data` line.
    static func event(_ name: String? = nil, id: EventIdentifier?, _ data: (inout [UInt8]) -> Void) -> [UInt8] {
        frame { out in
            if let id {
                out.append(contentsOf: "id: ".utf8)
                out.append(contentsOf: id.text.utf8)
                out.append(0x0A)
            }
            if let name {
                out.append(contentsOf: "event: ".utf8)
                out.append(contentsOf: name.utf8)
                out.append(0x0A)
            }
            out.append(contentsOf: "data: ".utf8)
            data(&out)
            out.append(0x0A)
            out.append(0x0A)
        }
    }

    /// A change record in `format`.
    static func change(_ change: ChangeMessage, format: EventFormat, epoch: String) -> [UInt8] {
        event(id: EventIdentifier(epoch: epoch, of: change)) { format.append(change, epoch: epoch, to: &$0) }
    }

    /// Moves the client's last event id without an event.
    static func bookmark(_ id: EventIdentifier) -> [UInt8] { frame { $0.append(contentsOf: "id: \(id.text)\n\n".utf8) } }

    /// Keeps proxies from closing an idle stream.
    static let heartbeat: [UInt8] = frame { $0.append(contentsOf: ": heartbeat\n\n".utf8) }

    /// How long a client should wait before it connects again.
    static func retry(milliseconds: Int) -> [UInt8] { frame { $0.append(contentsOf: "retry: \(milliseconds)\n\n".utf8) } }

    private static func frame(_ fill: (inout [UInt8]) -> Void) -> [UInt8] {
        var out: [UInt8] = []
        fill(&out)
        return out
    }
}
