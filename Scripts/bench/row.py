"""What a row of the table is, and how a pair is run in turn."""
import dataclasses
import os
import statistics
import typing

from machine import memory


@dataclasses.dataclass
class Plan:
    """How long and how often."""
    seconds: int = 4
    rounds: int = 3
    full: bool = True


@dataclasses.dataclass
class Row:
    """One line of the table. `bar` is for the ratio ours ÷ peer, or for our own figure when there is no peer; None only watches."""
    name: str
    title: str
    peer: str
    bar: float | None
    measure: typing.Callable
    unit: str = "/s"
    below: bool = False

    def verdict(self, value):
        if self.bar is None:
            return ""
        return "yes" if (value <= self.bar if self.below else value >= self.bar) else "no"


def middle(results, key):
    values = [each[key] for each in results if each.get(key) is not None]
    return statistics.median(values) if values else None


def settled(measure):
    """Runs `measure` while the disk owes nothing: what went before, ours or a peer's, would be written beside its syncs."""
    os.sync()
    return measure()


def alternate(plan, ours, peer, pids=(), compare="rate"):
    """Runs both in turn, `plan.rounds` times; each round gives one ratio."""
    mine, theirs = [], []
    for _ in range(plan.rounds):
        mine.append(settled(ours))
        theirs.append(settled(peer))
    ratios = [a[compare] / b[compare] for a, b in zip(mine, theirs)]
    return summary(mine, compare, pids) | {
        "peer": middle(theirs, compare), "ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios),
        "peer_cpu_us": middle(theirs, "server_cpu_us"), "peer_p99_us": middle(theirs, "p99_us"),
        "peer_client_share": middle(theirs, "client_share"),
    }


def alone(plan, ours, compare, pids=()):
    """Runs ours only; the bar is for the figure itself."""
    mine = [settled(ours) for _ in range(plan.rounds)]
    values = [each[compare] for each in mine]
    return summary(mine, compare, pids) | {"ratio": statistics.median(values), "low": min(values), "high": max(values)}


def summary(mine, compare, pids):
    errors = {}
    for each in mine:
        for word, count in each.get("errors", {}).items():
            if count:
                errors[word] = errors.get(word, 0) + count if isinstance(count, (int, float)) else count
    return {
        "ours": middle(mine, compare), "cpu_us": middle(mine, "server_cpu_us"), "p50_us": middle(mine, "p50_us"),
        "p99_us": middle(mine, "p99_us"), "client_share": middle(mine, "client_share"),
        "rss_mib": sum(memory(pid)[0] for pid in pids) if pids else None,
        "note": "; ".join(f"{word}: {count}" for word, count in errors.items()),
    }
