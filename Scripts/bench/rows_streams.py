"""Rows of streams: the import against RocksDB's own benchmark, and the changefeed's latency, fan-out and idle readers."""
import json
import subprocess

import peers
from machine import BOTH, CLIENT_CORE, memory, pinned
from row import Row, alone, alternate
from themis import BENCH, Themis, result


def bulk(plan):
    rows = 200_000 if plan.full else 100_000
    flags = ["--benchmarks=fillrandom", "--batch_size=100", "--value_size=128", "--key_size=16", f"--num={5 * rows}"]

    def ours():
        with Themis(["gateway"], core=BOTH, cores={"gateway": BOTH}) as themis:
            return themis.bench("bulk", "--port", themis.http, "--rows", rows, "--bytes", 128, cores=BOTH)
    return alternate(plan, ours, lambda: peers.db_bench(*flags))


def sse_latency(plan):
    with Themis(["changefeed"]) as themis:
        return alone(plan, lambda: streams(themis, 100, plan.seconds, 1_000), "p99_us", [themis.pids["changefeed"]])


def sse_fanout(plan):
    # The feed has core 0 for itself; the core, which commits 400 writes a second, shares core 1 with the readers.
    with Themis(["changefeed"], core=CLIENT_CORE) as themis:
        feed = themis.pids["changefeed"]
        return alone(plan, lambda: streams(themis, 1_000, plan.seconds, 400, [feed]), "rate", [feed])


def streams(themis, subscribers, seconds, rate, pids=None):
    return themis.bench("sse", "--port", themis.feed, "--subscribers", subscribers, "--socket", themis.socket, "--rate", rate,
                        "--keys", 1_000, "--bytes", 256, "--seconds", seconds, pids=pids)


def sse_idle(plan):
    subscribers = 10_000 if plan.full else 2_000
    with Themis(["changefeed"], environment={"THEMIS_SERVER_MAX_CONNECTIONS": "20000"}) as themis:
        feed = themis.pids["changefeed"]
        before = memory(feed)
        load = subprocess.Popen(
            pinned(CLIENT_CORE, [BENCH, "sse", "--port", themis.feed, "--subscribers", subscribers, "--warm-up", 1, "--seconds", 5]),
            stdout=subprocess.PIPE, text=True)
        connected = json.loads(load.stdout.readline() or '{"connected":0}')["connected"]
        after = memory(feed)
        found = result(load.communicate()[0])
        if connected != subscribers or found["open"] != subscribers:
            raise SystemExit(f"bench: {connected} of {subscribers} streams began, {found.get('open')} stayed")
        each = (after[1] - before[1]) * 1024 * 1024 / subscribers
        return {"ours": each, "ratio": each, "low": each, "high": each, "rss_mib": after[0], "note": f"{subscribers} readers"}


ROWS = [
    Row("bulk", "Bulk NDJSON import of 128 B documents over HTTP", "`db_bench` fillrandom, batch 100", 0.2, bulk, unit="rows/s"),
    Row("sse-latency", "Due write to SSE byte, 100 subscribers, 1 000 events/s: p99", "", 5_000, sse_latency, unit="µs", below=True),
    Row("sse-fanout", "SSE fan-out to 1 000 subscribers on one core", "", 150_000, sse_fanout, unit="events/s"),
    Row("sse-idle", "User memory for one idle subscriber", "", 200, sse_idle, unit="B", below=True),
]
