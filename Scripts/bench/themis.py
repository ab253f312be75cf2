"""A set of its own: core, gateway and changefeed as separate processes, each pinned, on a fresh directory of the real disk."""
import json
import os
import shutil
import tempfile
import urllib.request

from machine import BOTH, CLIENT_CORE, RELEASE, SERVER_CORE, WORK, Process, connects, free_port, run

BENCH = os.path.join(RELEASE, "themis_bench")


class Themis:
    """`parts` says which sidecars run beside the core, and on which cores."""

    def __init__(self, parts=(), core=SERVER_CORE, cores=None, environment=None, directory=None):
        self.directory = directory or os.path.join(WORK, "themis")
        if directory is None:
            shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory, exist_ok=True)
        self.home = tempfile.mkdtemp(prefix="themis-bench-")
        os.chmod(self.home, 0o750)
        self.socket = os.path.join(self.home, "core.sock")
        self.environment = {"THEMIS_RPC_SOCKET": self.socket, "THEMIS_LOGGING_LEVEL": "warn"} | (environment or {})
        self.parts, self.pids = [], {}
        cores = cores or {}
        self.start("core", ["themis_server", "--role", "core", "--data", self.directory], core, lambda: connects(self.socket))
        if "gateway" in parts:
            self.http = free_port()
            self.start("gateway", ["themis_gateway", "--port", self.http], cores.get("gateway", SERVER_CORE),
                       lambda: ready(self.http))
        if "changefeed" in parts:
            self.feed = free_port()
            self.environment["THEMIS_CHANGEFEED_PORT"] = str(self.feed)
            self.start("changefeed", ["themis_changefeed"], cores.get("changefeed", SERVER_CORE), lambda: ready(self.feed))

    def start(self, name, words, cores, is_ready):
        process = Process(name, [os.path.join(RELEASE, words[0])] + words[1:], cores, self.environment)
        self.parts.append(process)
        self.pids[name] = process.pid
        process.wait_until(is_ready)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.parts):
            process.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def bench(self, mode, *flags, cores=CLIENT_CORE, pids=None, seconds=120):
        """One run of themis_bench; its result."""
        arguments = [BENCH, mode, *flags]
        watched = pids if pids is not None else list(self.pids.values())
        if watched:
            arguments += ["--pids", ",".join(map(str, watched))]
        return result(run(arguments, cores, seconds)[0])

    def fill(self, keys, size, first=0):
        """Writes `keys` entities with both cores: nothing is measured."""
        return self.bench("fill", "--socket", self.socket, "--keys", keys, "--bytes", size, "--first", first, cores=BOTH)


def result(text):
    found = json.loads(text.splitlines()[-1])
    found["server_cpu_us"] = 1e6 * sum(found["cpu_seconds"].values()) / max(1, found["count"])
    found["client_share"] = found["client_cpu_seconds"] / found["seconds"]
    return found


def ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False
