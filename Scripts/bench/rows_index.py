"""Rows of indexes and queries, against redis-stack's search module where it has the operation."""
import http.client
import json
import os
import random
import time

from machine import BOTH, ROOT, SERVER_CORE, WORK, cpu_seconds, run
from peers import RedisStack
from row import Row, alternate
from rows_set import figure
from themis import Themis

SURREAL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "surreal.py")
ROWS_AT_ONCE = 10  # documents in one answer
SIZE = 256


def document(number, seed=0, size=SIZE):
    """Ten documents share a city; five numbers differ from one `seed` to the next."""
    drawn = random.Random(number * 31 + seed)
    found = {"number": number, "city": f"c{number // ROWS_AT_ONCE:012}"} | {name: drawn.randrange(1 << 31) for name in "abcde"}
    return found | {"text": "".join(drawn.choices("abcdefghijklmnopqrstuvwxyz", k=max(0, size - 10 - len(json.dumps(found)))))}


def pk(number):
    return f"k{number:09}"


class Api:
    """A set's gateway, for what is done once."""

    def __init__(self, themis):
        self.connection = http.client.HTTPConnection("127.0.0.1", themis.http, timeout=120)

    def call(self, method, path, body=None, content="application/json"):
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        self.connection.request(method, path, data, {"Content-Type": content})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"bench: {method} {path}: {answer.status} {text[:500]}")
        return json.loads(text) if content == "application/json" else text

    def load(self, count):
        for first in range(0, count, 10_000):
            lines = [json.dumps({"op": "put", "key": f"bench:{pk(n)}", "document": document(n)}) for n in range(first, first + 10_000)]
            self.call("POST", "/entities", "\n".join(lines).encode(), "application/x-ndjson")

    def index(self, column, kind):
        """Makes an index and waits until it serves; its job's seconds."""
        began = time.monotonic()
        answer = self.call("POST", "/index/create", {"table": "bench", "column": column, "type": kind})
        job = (answer.get("job") or {}).get("id")
        while job and self.call("GET", f"/admin/jobs/{job}")["state"] not in ("done", "succeeded", "completed"):
            time.sleep(0.01)
        return time.monotonic() - began

    def drop(self, column):
        self.call("POST", "/index/drop", {"table": "bench", "column": column})

    def query(self, body):
        return self.call("POST", "/query", body)


def lines(name, requests):
    path = os.path.join(WORK, f"{name}.lines")
    with open(path, "w") as file:
        file.writelines(f"{each}\n" for each in requests)
    return path


def ask(themis, path, plan, in_flight, method="Query", cores=None):
    more = {"cores": cores} if cores else {}
    found = themis.bench("lines", "--socket", themis.socket, "--method", method, "--file", path, "--in-flight", in_flight, "--seconds",
                         plan.seconds, "--warm-up", 1, pids=[themis.pids["core"]], **more)
    if found["errors"]:
        raise SystemExit(f"bench: {found['errors']}")
    return found


def compare(plan, requests, search, rate):
    """Both sides hold the same documents and give ten of them, whole. `rate`: about what the peer answers in a second."""
    count = 100_000 if plan.full else 20_000
    with Themis(["gateway"]) as ours, RedisStack() as redis:
        api = Api(ours)
        api.load(count)
        api.index("city", "equality")
        api.index("number", "range")
        redis.load((pk(n), json.dumps(document(n))) for n in range(count))
        path = lines("query", (json.dumps({"table": "bench", "limit": ROWS_AT_ONCE, **each}) for each in requests(count)))
        first = api.query({"table": "bench", "limit": ROWS_AT_ONCE, **next(iter(requests(count)))})
        if first["count"] != ROWS_AT_ONCE or redis.search(search, 3) != ROWS_AT_ONCE:
            raise SystemExit("bench: the two sides do not give the same number of documents")
        return alternate(
            plan, lambda: ask(ours, path, plan, 16),
            lambda: redis.benchmark_search(search, count // ROWS_AT_ONCE, 16, rate * plan.seconds), [ours.pids["core"]])


def equality(plan):
    def requests(count):
        return ({"predicates": [{"column": "city", "value": f"c{n:012}"}]} for n in range(count // ROWS_AT_ONCE))
    return compare(plan, requests, ["@city:{c__rand_int__}"], 10_000)


def ordered(plan):
    def requests(count):
        return ({"range": [{"column": "number", "gte": n}], "order_by": {"column": "number"}} for n in range(count // ROWS_AT_ONCE))
    return compare(plan, requests, ["@number:[__rand_int__ +inf]", "SORTBY", "number", "ASC"], 200)


def page_depth(plan):
    """A page of 100 rows behind 100 000 others, against the first one."""
    depth = 100_000
    with Themis(["gateway"]) as ours:
        api = Api(ours)
        api.load(depth + 20_000)
        api.index("a", "range")
        base = {"table": "bench", "order_by": {"column": "a"}, "limit": 1_000}
        answer, seen = api.query(base), 1_000
        while seen < depth:
            answer = api.query(base | {"cursor": answer["next_cursor"]})
            seen += answer["count"]
        # A cursor belongs to a query, not to the size of its pages.
        first, deep = (lines(name, [json.dumps(base | {"limit": 100} | more)])
                       for name, more in (("first", {}), ("deep", {"cursor": answer["next_cursor"]})))
        ratios, p50 = [], []
        for _ in range(plan.rounds):
            one, other = ask(ours, first, plan, 1), ask(ours, deep, plan, 1)
            ratios.append(other["p50_us"] / one["p50_us"])
            p50.append((one["p50_us"], other["p50_us"]))
        ratios.sort()
        middle = ratios[len(ratios) // 2]
        return {"ours": middle, "ratio": middle, "low": ratios[0], "high": ratios[-1],
                "note": f"p50 of a page of 100: {p50[-1][0]:.0f} µs the first, {p50[-1][1]:.0f} µs behind {seen} rows"}


def backfill(plan):
    """Entries of a new index for a second of processor time of the core, while nothing else happens."""
    count = 500_000 if plan.full else 50_000
    values, wall = [], []
    with Themis(["gateway"]) as ours:
        ours.fill(count, SIZE)
        api = Api(ours)
        for _ in range(plan.rounds):
            before = cpu_seconds(ours.pids["core"])
            seconds = api.index("number", "range")
            values.append(count / (cpu_seconds(ours.pids["core"]) - before))
            wall.append(count / seconds)
            api.drop("number")
    values.sort()
    middle = values[len(values) // 2]
    return {"ours": middle, "ratio": middle, "low": values[0], "high": values[-1],
            "note": f"{count} entities; {wall[-1]:.0f} entries for a second on the clock, throttled as it is"}


def put_indexes(plan):
    """Durable PUT, 256 in flight, each with new values of five members, with 0, 1, 3 and 5 of them indexed."""
    keys = 10_000
    with Themis(["gateway"], core=BOTH) as ours:
        api = Api(ours)
        api.load(keys)
        path = lines("put", (f"{pk(n)} {json.dumps(document(n, seed, 1_024))}" for seed in range(1, 5) for n in range(keys)))
        ratios, rates = [], {}
        for _ in range(plan.rounds):
            rates = {}
            for count in (0, 1, 3, 5):
                for column in "abcde"[len(rates) and max(rates):count]:
                    api.index(column, "range")
                found = rates[count] = ask(ours, path, plan, 256, "Write", BOTH)
            ratios.append(rates[3]["rate"] / rates[0]["rate"])
            for column in "abcde":
                api.drop(column)
        ratios.sort()
        middle = ratios[len(ratios) // 2]
        told = ", ".join(f"{count}: {found['rate']:.0f}/s, {found['server_cpu_us']:.1f} µs" for count, found in rates.items())
        return {"ours": middle, "ratio": middle, "low": ratios[0], "high": ratios[-1], "p99_us": rates[3]["p99_us"],
                "note": f"indexes: rate, processor time of the core: {told}"}


def graph(plan):
    """Two hops outbound in a graph of 100 000 edges, 20 from each vertex: some 400 vertices visited."""
    vertices, degree = (5_000 if plan.full else 1_000), 20
    drawn = random.Random(7)
    edges = [(f"v{one}", f"v{drawn.randrange(vertices)}") for one in range(vertices) for _ in range(degree)]
    python, listed = os.path.join(ROOT, ".build/venv/peers/bin/python"), lines("edges", (f"{one} {other}" for one, other in edges))
    peer = json.loads(run([python, SURREAL, listed, plan.seconds], SERVER_CORE, 300)[0].splitlines()[-1])
    with Themis(["gateway"]) as ours:
        api = Api(ours)
        api.call("POST", "/index/create", {"table": "edge", "type": "edge"})
        for first in range(0, len(edges), 10_000):
            rows = [json.dumps({"op": "put", "key": f"edge:e{first + n}", "document": {"_from": one, "_to": other}})
                    for n, (one, other) in enumerate(edges[first:first + 10_000])]
            api.call("POST", "/entities", "\n".join(rows).encode(), "application/x-ndjson")
        walk = {"max_depth": 2, "limit": 1_000}
        visited = api.call("POST", "/graph/traverse", walk | {"start_vertex": "v1"})["visited_count"]
        path = lines("walks", (json.dumps(walk | {"start_vertex": f"v{n}"}) for n in range(vertices)))
        found = sorted((ask(ours, path, plan, 1, "GraphTraverse") for _ in range(plan.rounds)), key=lambda each: each["p50_us"])
        middle = found[len(found) // 2]
        return {"ours": middle["p50_us"], "ratio": middle["p50_us"], "low": found[0]["p50_us"], "high": found[-1]["p50_us"],
                "cpu_us": middle["server_cpu_us"], "p50_us": middle["p50_us"], "p99_us": middle["p99_us"], "peer": peer["p50_us"],
                "note": f"{len(edges)} edges, {visited} vertices visited; SurrealDB, embedded and in memory, gives up to "
                        f"{peer['visited']} vertices in {peer['p50_us']:.0f} µs (p50)"}


ROWS = [
    Row("query-equality", "Indexed equality, 10 documents of 256 B, over the Unix socket, 16 in flight", "redis-stack `FT.SEARCH`", 0.5,
        equality),
    Row("query-order", "Range, order and limit 10 by one index, 16 in flight", "redis-stack `FT.SEARCH … SORTBY`", None, ordered),
    Row("page-depth", "A page behind 100 000 rows against the first one: p50", "", 1.5, page_depth, unit="×", below=True),
    Row("backfill", "Entries of a new index for a second of processor time", "", 100_000, backfill, unit="entries/s"),
    Row("graph", "Two hops from a vertex of a graph of 100 000 edges: p50", "SurrealDB embedded, `->knows->person->knows->person`", 1_000, graph,
        unit="µs", below=True),
    Row("put-indexes", "Durable PUT with 3 indexes against none, 256 in flight", "", 0.6, put_indexes, unit="×"),
]
