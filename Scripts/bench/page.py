"""docs/benchmarks.md: the table for people, written from the ledger."""
import os

import ledger
import machine
import peers

PAGE = os.path.join(machine.ROOT, "docs/benchmarks.md")

HEAD = """# Benchmarks

What `make bench` measured on the machine below: each row of ours and its peer in turn, several rounds, the median of the ratios. Every
line ever measured stands in [benchmarks.tsv](benchmarks.tsv); this page shows the newest line of each row.

"""

OVERLOAD = """
## Overload

Durable PUT over HTTP on 4 000 connections, offered at fixed rates. A connection that is refused (503) rests for its `Retry-After`; a request
that finds none free waits for 100 ms and is then not sent. Latencies count from when the request was due. Dashed are what was refused and how fast,
and 80 % of the best goodput.

![Offered load against goodput and p99](overload.svg)
"""

SOAK = """
## Soak

`make soak`: mixed load, resident memory of each process, with small caches. Each process first fills its ring of recent changes (32 MiB in
changefeed and gateway, 16 MiB in the core with the memory limit of this run) and its caches.

![Resident memory over time](soak.svg)
"""

READING = """
## How to read it

* **Ours** and **peer** are medians of the rounds. A *ratio* belongs to one round, in which both ran directly after each other; the spread
  is the lowest and the highest ratio. Without a peer the spread is that of our own figure.
* **Pinning.** Servers run on core 0 (the core *and* the gateway, as `redis-server` *and* webdis), load generators on
  core 1. In the rows against `db_bench` and the bare disk, and of PUT with indexes, everything has both cores: the threads of `db_bench` are client
  and engine in one. In the fan-out row the changefeed has core 0 for itself, and the core is with the readers on core 1.
* **CPU µs/op** is the processor time of all our server processes for one operation, background work included; in brackets the peer's.
* **p50 / p99** are ours. In a closed loop (a fixed number in flight) a latency counts from sending; with an offered rate it counts from
  the time at which the request was due, so a stall is not hidden by requests that were never sent.
* **Client's core** is how busy our load generator was. Near 100 % the row shows the load generator's bound, not the server's.
* **PUT with indexes** replaces documents of 1 KiB; the value of every indexed member changes with each write, so that an index costs a
  removed and an added entry.
* Documents are JSON objects of the stated size, half of their text repeating; keys are drawn from 10 000. Data lies on the disk named
  below, in fresh directories below `.build/bench`. Every write of ours is on disk before it is acknowledged.
"""


def write(rows):
    lines = ledger.newest()
    runs = sorted({(line["commit"], line["date"][:10]) for name, line in lines.items() if name in {row.name for row in rows}})
    with open(PAGE, "w") as file:
        file.write(HEAD)
        file.write(ledger.table(rows, lines) + "\n\n")
        file.write("Measured at " + ", ".join(f"{commit} ({date})" for commit, date in runs) + ".\n")
        if os.path.exists(os.path.join(machine.ROOT, "docs/overload.svg")):
            file.write(OVERLOAD)
        if os.path.exists(os.path.join(machine.ROOT, "docs/soak.svg")):
            file.write(SOAK)
        file.write(READING)
        file.write("\n## Machine and versions\n\n| | |\n|---|---|\n")
        for name, text in (machine.description() | machine.versions()).items():
            file.write(f"| {name} | {text} |\n")
        file.write("\n## Flags of the peers\n\n| Peer | Flags |\n|---|---|\n")
        for name, flags in peers.FLAGS.items():
            file.write(f"| {name} | `{flags}` |\n")
