"""Rows of single requests: core over its socket, gateway over HTTP, each against its peer."""
import os
import statistics
import time

import peers
from machine import BOTH, WORK
from row import Row, alternate
from themis import Themis

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "requests.lua")
KEYS, SIZE = 10_000, 1_024


def rpc_get(plan):
    with Themis() as ours, peers.Redis() as redis:
        ours.fill(KEYS, SIZE)
        redis.benchmark("set", SIZE, KEYS, 64, 20 * KEYS)
        return alternate(
            plan, lambda: ours.bench("rpc", "--socket", ours.socket, "--in-flight", 64, "--seconds", plan.seconds),
            lambda: redis.benchmark("get", SIZE, KEYS, 64, 400_000 * plan.seconds), [*ours.pids.values()])


# Against `db_bench` and the bare disk both sides have both cores: `db_bench` is client and engine in one.
def rpc_put_256(plan):
    flags = ["--benchmarks=fillrandom", "--sync=1", "--threads=256", "--value_size=1024", "--key_size=16", "--num=1000000",
             f"--duration={plan.seconds}"]
    with Themis(core=BOTH) as ours:
        return alternate(
            plan, lambda: put(ours, 256, plan),
            lambda: peers.db_bench(*flags), [*ours.pids.values()])


def rpc_put_1(plan):
    with Themis(core=BOTH) as ours:
        return alternate(
            plan, lambda: put(ours, 1, plan), lambda: fdatasync(plan.seconds), [*ours.pids.values()], compare="p50_us")


def put(ours, in_flight, plan):
    return ours.bench("rpc", "--socket", ours.socket, "--in-flight", in_flight, "--writes", 100, "--seconds", plan.seconds, cores=BOTH)


def wal_bytes(plan):
    """Bytes that one durable PUT writes to the log, by what the kernel saw the core write: few enough that no table file is written."""
    values = []
    for _ in range(plan.rounds):
        with Themis() as ours:
            before = written(ours.pids["core"])
            ours.fill(20_000, SIZE)
            values.append((written(ours.pids["core"]) - before) / 20_000)
    return {"ours": statistics.median(values), "ratio": statistics.median(values), "low": min(values), "high": max(values)}


def written(pid):
    with open(f"/proc/{pid}/io") as counters:
        return int(next(line.split()[1] for line in counters if line.startswith("wchar")))


def fdatasync(seconds):
    """Appends 1.2 KiB and waits until it is on the disk, again and again: what one durable write costs at least."""
    path, block, spent = os.path.join(WORK, "fdatasync"), os.urandom(1_228), []
    file = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        os.write(file, block)
        os.fdatasync(file)
        spent.append(1e6 * (time.perf_counter() - began))
    os.close(file)
    os.unlink(path)
    spent.sort()
    return {"rate": len(spent) / seconds, "p50_us": spent[len(spent) // 2], "p99_us": spent[len(spent) * 99 // 100]}


def http_get(plan):
    with Themis(["gateway"]) as ours, peers.Webdis() as webdis:
        ours.fill(KEYS, SIZE)
        peers.wrk(webdis.http, 16, 1, SCRIPT, [], "PUT", "/SET/", "", SIZE)
        return alternate(
            plan,
            lambda: peers.wrk(ours.http, 64, plan.seconds, SCRIPT, [*ours.pids.values()], "GET", "/entities/bench:", "", 0),
            lambda: peers.wrk(webdis.http, 64, plan.seconds, SCRIPT, webdis.pids, "GET", "/GET/", ".txt", 0), [*ours.pids.values()])


def http_put(plan):
    with Themis(["gateway"]) as ours, peers.Webdis(durable=True) as webdis:
        return alternate(
            plan,
            lambda: peers.wrk(ours.http, 256, plan.seconds, SCRIPT, [*ours.pids.values()], "PUT", "/entities/bench:", "", SIZE,
                              "application/json"),
            lambda: peers.wrk(webdis.http, 256, plan.seconds, SCRIPT, webdis.pids, "PUT", "/SET/", "", SIZE), [*ours.pids.values()])


ROWS = [
    Row("rpc-get", "RPC GET 1 KiB, cached, 64 in flight on one connection", "redis GET, Unix socket, pipeline 64", 0.45, rpc_get),
    Row("http-get", "HTTP GET 1 KiB through gateway and core, 64 connections", "webdis → redis `/GET/k.txt`", 1.6, http_get),
    Row("http-put", "HTTP durable PUT 1 KiB, 256 connections", "webdis → redis, appendfsync always", 1.3, http_put),
    Row("rpc-put-256", "RPC durable PUT 1 KiB, 256 in flight", "`db_bench` sync, 256 threads", 2, rpc_put_256),
    Row("rpc-put-1", "RPC durable PUT 1 KiB, 1 in flight", "fdatasync of the same disk", 2.5, rpc_put_1, unit="µs p50", below=True),
    Row("wal-bytes", "Bytes written to the log by one PUT of 1 KiB", "", None, wal_bytes, unit="B", below=True),
]
