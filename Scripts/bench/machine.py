"""The machine and its processes: pinned starts, processor time and memory out of /proc, free ports. Ends only what it started."""
import os
import platform
import re
import signal
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = os.path.join(ROOT, ".build/bench")
TOOLS = os.path.join(ROOT, ".build/tools/usr/bin")
RELEASE = os.path.join(ROOT, ".build/release")
SERVER_CORE, CLIENT_CORE, BOTH = "0", "1", "0,1"
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def pinned(cores, arguments):
    return ["taskset", "-c", cores] + [str(each) for each in arguments]


class Process:
    """A server pinned to `cores`; its output goes to a file."""

    def __init__(self, name, arguments, cores=SERVER_CORE, environment=None):
        self.name = name
        self.log = os.path.join(WORK, f"{name}.log")
        kept = {key: value for key, value in os.environ.items() if not key.startswith("THEMIS_")}
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(pinned(cores, arguments), stdout=log, stderr=log, env=kept | (environment or {}))
        self.pid = self.child.pid

    def wait_until(self, ready, seconds=60):
        end = time.monotonic() + seconds
        while not ready():
            if self.child.poll() is not None or time.monotonic() > end:
                with open(self.log, errors="replace") as log:
                    raise SystemExit(f"bench: {self.name} does not start:\n{log.read()[-3000:]}")
            time.sleep(0.005)

    def stop(self, number=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(number)
            try:
                self.child.wait(20)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


def connects(address):
    """Whether somebody listens: a port, or the path of a Unix socket."""
    family = socket.AF_INET if isinstance(address, int) else socket.AF_UNIX
    with socket.socket(family) as probe:
        try:
            probe.connect(("127.0.0.1", address) if isinstance(address, int) else address)
            return True
        except OSError:
            return False


def cpu_seconds(pid, without=""):
    """Processor time of a process; with `without`, of its threads whose names do not begin so."""
    if not without:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/comm") as comm:
            if comm.read().startswith(without):
                continue
        with open(f"/proc/{pid}/task/{thread}/schedstat") as stat:
            total += int(stat.read().split()[0])
    return total / 1e9


def memory(pid):
    """Resident and anonymous memory in MiB."""
    found = {}
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            name, _, value = line.partition(":")
            if name in ("VmRSS", "RssAnon"):
                found[name] = int(value.split()[0]) / 1024
    return found["VmRSS"], found["RssAnon"]


def run(arguments, cores=CLIENT_CORE, seconds=120):
    """Runs a load generator; returns its output, its processor time and how long it ran."""
    before, began = os.times(), time.monotonic()
    done = subprocess.run(pinned(cores, arguments), capture_output=True, text=True, timeout=seconds)
    after = os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(map(str, arguments))}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout, used, time.monotonic() - began


def description():
    """Processor, memory, disk and kernel of this machine, one fact each."""
    def first(path, name):
        with open(path) as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith(name)), "unknown")
    device = subprocess.run(["df", "--output=source,fstype", WORK], capture_output=True, text=True).stdout.splitlines()[-1].split()
    return {
        "processor": f"{first('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores",
        "memory": f"{int(first('/proc/meminfo', 'MemTotal').split()[0]) / 1024 / 1024:.0f} GiB",
        "disk": f"{device[0]}, {device[1]}",
        "system": f"Linux {platform.release()}, {platform.freedesktop_os_release()['PRETTY_NAME']}",
    }


def versions():
    """What is compared, as the programs name themselves."""
    def says(*arguments):
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=10)
        except OSError:
            return "not installed"
        return (done.stdout + done.stderr).strip().splitlines()[0]
    def package(name):
        return says("dpkg-query", "-W", "-f=${Version}", name)
    # Without the commit: each line of the ledger has its own.
    themis = re.sub(r"commit \S+ built \S+ ", "", says(f"{RELEASE}/themis_server", "--version"))
    return {
        "themis": themis, "redis": says(f"{TOOLS}/redis-server", "--version"),
        "webdis": "0.1.9" if os.path.exists(f"{TOOLS}/webdis") else "not installed",
        "rocksdb-tools": package("rocksdb-tools"), "librocksdb": package("librocksdb7.8"), "wrk": package("wrk"),
    }
