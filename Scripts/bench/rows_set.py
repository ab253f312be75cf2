"""Rows of the set as a whole: memory of the gateway, time to start, growth, overload."""
import os
import signal
import statistics
import subprocess
import threading
import time
import urllib.request

import plot
from machine import BOTH, CLIENT_CORE, RELEASE, ROOT, WORK, Process, cpu_seconds, free_port, memory, pinned
from peers import fresh
from row import Row
from themis import BENCH, Themis, result


def figure(value, **more):
    return {"ours": value, "ratio": value, "low": value, "high": value} | more


def gateway_idle(plan):
    with Themis(["gateway"]) as themis:
        time.sleep(2)
        return figure(memory(themis.pids["gateway"])[0])


def gateway_busy(plan):
    with Themis(["gateway"]) as themis:
        themis.fill(10_000, 1_024)
        load = subprocess.Popen(
            pinned(CLIENT_CORE, [BENCH, "http", "--port", themis.http, "--connections", 1_000, "--seconds", plan.seconds]),
            stdout=subprocess.PIPE, text=True)
        highest = 0
        while load.poll() is None:
            highest = max(highest, memory(themis.pids["gateway"])[0])
            time.sleep(0.1)
        found = result(load.stdout.read())
        return figure(highest, p50_us=found["p50_us"], p99_us=found["p99_us"], note=f"{found['rate']:.0f} GET/s meanwhile")


def start(plan, kill):
    entities = 1_000_000 if plan.full else 100_000
    directory = fresh("start")
    with Themis(directory=directory) as themis:
        themis.fill(entities, 256)
    times = []
    for _ in range(plan.rounds):
        if kill:  # What the log holds since the last flush is replayed.
            with Themis(directory=directory) as themis:
                themis.fill(150_000, 256)
                for process in themis.parts:
                    process.stop(signal.SIGKILL)
        times.append(start_once(directory))
    return {"ours": statistics.median(times), "ratio": statistics.median(times), "low": min(times), "high": max(times),
            "note": f"{entities} entities" + (", killed after 150 000 more writes" if kill else "")}


def start_once(directory):
    """Seconds from the start of the whole set to the first entity read over HTTP."""
    ports = [free_port() for _ in range(3)]
    names = ["THEMIS_SERVER_PORT", "THEMIS_CHANGEFEED_PORT", "THEMIS_EXPORTER_PORT"]
    began = time.monotonic()
    server = Process("set", [os.path.join(RELEASE, "themis_server"), "--data", directory], BOTH,
                     {"THEMIS_LOGGING_LEVEL": "warn"} | {name: str(port) for name, port in zip(names, ports)})

    def reads():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports[0]}/entities/bench:k000000001", timeout=30) as answer:
                return answer.status == 200
        except OSError:
            return False
    server.wait_until(reads)
    spent = time.monotonic() - began
    server.stop()
    return spent


HOT = 10_000


def growth(plan):
    """Processor time of the core's own threads for one GET and one PUT of the same 10 000 keys, while the table grows around them.

    Before GET everything in memory is written to files, so that the keys are read where they have sunk to.
    """
    sizes = [10_000, 100_000, 1_000_000, 5_000_000] if plan.full else [10_000, 100_000]
    series, worst, filled = [], 1, 0
    with Themis(["gateway"]) as themis:
        for size in sizes:
            themis.fill(size - filled, 128, first=filled)
            filled = size
            flush = urllib.request.Request(f"http://127.0.0.1:{themis.http}/admin/flush", method="POST")
            urllib.request.urlopen(flush, timeout=60).close()
            settle(themis.pids["core"])
            cost = [per_operation(themis, writes, plan) for writes in (0, 100)]
            series.append((size, *cost))
            worst = max(worst, cost[0] / series[0][1], cost[1] / series[0][2])
        rss = memory(themis.pids["core"])[0]
    text = ", ".join(f"{size}: {get:.2f}/{put:.2f}" for size, get, put in series)
    return figure(worst, rss_mib=rss, note=f"µs for GET/PUT at {text}")


def settle(pid):
    """Waits until what goes on in the background has ended, at most half a minute."""
    for _ in range(30):
        before = cpu_seconds(pid)
        time.sleep(1)
        if cpu_seconds(pid) - before < 0.1:
            return


def per_operation(themis, writes, plan):
    pid = themis.pids["core"]
    flags = ["--socket", themis.socket, "--keys", HOT, "--bytes", 128, "--writes", writes, "--in-flight", 64]
    themis.bench("rpc", *flags, "--warm-up", 0, "--seconds", 1)
    before = cpu_seconds(pid, without="rocksdb")
    found = themis.bench("rpc", *flags, "--warm-up", 0, "--seconds", max(2, plan.seconds - 1))
    return 1e6 * (cpu_seconds(pid, without="rocksdb") - before) / found["count"]


CROWD = 4_000
# A connection that was refused rests as long as it was told; what finds no connection free for 100 ms is not sent.
HEEDING = ["--connections", CROWD, "--heeds-retry-after", 1, "--give-up", 100]


def overload(plan):
    """Durable PUT over HTTP at fixed rates from half to four times what the set can do; the rest is refused.

    What the set can do is measured in a closed loop, before and behind the sweep, after a first run that is not counted: as long as the
    engine has nothing to flush and to compact, every rate is higher than what lasts. The peak is the best rate of all. At the end come
    clients that ask again at once, whatever they are told.
    """
    points, live = [], []
    seconds = max(3, plan.seconds - 1)
    with Themis(["gateway"]) as themis:
        def put(*flags, seconds=seconds):
            return themis.bench("http", "--port", themis.http, "--writes", 100, "--seconds", seconds, *flags)
        put("--connections", 256)
        capacity = put("--connections", 256, seconds=2 * seconds)["rate"]
        stop = threading.Event()
        watcher = threading.Thread(target=watch_live, args=(themis.http, live, stop), daemon=True)
        watcher.start()
        for share in (0.5, 0.75, 1, 1.5, 2, 3, 4) if plan.full else (0.5, 4):
            # The last one as long as what it is compared with.
            points.append((share, put(*HEEDING, "--rate", round(share * capacity), seconds=seconds if share < 4 else 2 * seconds)))
        heedless = put("--connections", CROWD)
        stop.set()
        watcher.join()
        rss = sum(memory(pid)[0] for pid in themis.pids.values())
        behind = put("--connections", 256, seconds=2 * seconds)["rate"]
    if plan.full:
        plot.overload(os.path.join(ROOT, "docs/overload.svg"), capacity, [(share, *outcome(found)) for share, found in points])
    peak = max(capacity, behind, *(found["rate"] for _, found in points))
    text = ", ".join(f"{share}×: {described(found)}" for share, found in points)
    live.sort()
    return figure(points[-1][1]["rate"] / peak, rss_mib=rss,
                  note=f"closed loop of 256 {capacity:.0f}/s before, {behind:.0f}/s behind, peak {peak:.0f}/s; {text}; {CROWD} that ask again at "
                       f"once: {described(heedless)}; /health/live p99 {live[len(live) * 99 // 100]:.0f} ms, slowest {live[-1]:.0f} ms of {len(live)}")


def outcome(found):
    """Goodput and refusals in a second, the p99 of both in milliseconds."""
    refused = found["errors"].get("503", 0) / found["seconds"]
    return found["rate"], found["p99_us"] / 1_000, refused, found.get("refused_p99_us", 0) / 1_000


def described(found):
    rate, p99, refused, refused_p99 = outcome(found)
    unsent = found["errors"].get("given up", 0) / found["seconds"]
    return (f"{rate:.0f}/s p99 {p99:.0f} ms" + (f", refused {refused:.0f}/s p99 {refused_p99:.0f} ms" if refused else "")
            + (f", not sent {unsent:.0f}/s" if unsent else ""))


def watch_live(port, live, stop):
    try:  # What is measured is the gateway, not how long this thread waits for a processor that the load has taken.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -15)
    except OSError:
        pass
    while not stop.wait(0.1):
        began = time.monotonic()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=10):
                pass
        except OSError:
            live.append(10_000)
            continue
        live.append(1_000 * (time.monotonic() - began))


ROWS = [
    Row("gateway-idle", "Gateway RSS, idle", "", 16, gateway_idle, unit="MiB", below=True),
    Row("gateway-busy", "Gateway RSS, 1 000 connections", "", 64, gateway_busy, unit="MiB", below=True),
    Row("start-clean", "Start to first read, 1 M entities, after a clean stop", "", 1, lambda plan: start(plan, False), unit="s", below=True),
    Row("start-killed", "Start to first read, 1 M entities, after kill -9", "", 5, lambda plan: start(plan, True), unit="s", below=True),
    Row("growth", "Growth 10 k → 5 M entities: CPU per operation against 10 k", "", 1.5, growth, unit="×", below=True),
    Row("overload", "Goodput of durable PUT at 4 × capacity against the peak", "", 0.8, overload, unit="×"),
]
