"""SurrealDB in this very process: the same graph, the same walks. Run by the Python of the environment `peers`; prints one line of JSON.

usage: surreal.py EDGES SECONDS      EDGES: a file with `from to` in each line
"""
import json
import sys
import time

from surrealdb import Surreal


def main():
    with open(sys.argv[1]) as file:
        edges = [line.split() for line in file]
    database = Surreal("mem://")
    database.use("bench", "bench")
    vertices = sorted({end for edge in edges for end in edge})
    for first in range(0, len(vertices), 1_000):
        database.query("INSERT INTO person " + json.dumps([{"id": each} for each in vertices[first:first + 1_000]]) + " RETURN NONE")
    for first in range(0, len(edges), 1_000):
        rows = ", ".join(f"{{in: person:{one}, out: person:{other}}}" for one, other in edges[first:first + 1_000])
        database.query(f"INSERT RELATION INTO knows [{rows}] RETURN NONE")
    spent, end, number, visited = [], time.perf_counter() + float(sys.argv[2]), 0, 0
    while (began := time.perf_counter()) < end:
        number = (number * 7_919 + 1) % len(vertices)
        found = database.query(f"RETURN array::distinct(person:{vertices[number]}->knows->person->knows->person)")
        spent.append(1e6 * (time.perf_counter() - began))
        visited = max(visited, len(found))
    spent.sort()
    print(json.dumps({"p50_us": spent[len(spent) // 2], "p99_us": spent[len(spent) * 99 // 100], "rate": len(spent) / sum(spent) * 1e6,
                      "visited": visited}))


main()
