"""Runs THEMIS and its peers in turn on this machine and prints how they compare. `make bench` builds and calls it.

usage: Scripts/bench [--rows NAME,NAME…] [--quick]      --quick: one short round, nothing is written down
"""
import argparse
import os
import sys

import ledger
import machine
import page
import rows_basic
import rows_index
import rows_set
import rows_streams
from row import Plan, settled

ROWS = rows_basic.ROWS + rows_streams.ROWS + rows_index.ROWS + rows_set.ROWS


def main():
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(description="Compares THEMIS with its peers.")
    parser.add_argument("--rows", default="", help=f"with commas between: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="one short round, nothing is written down")
    arguments = parser.parse_args()
    wanted = arguments.rows.split(",") if arguments.rows else names
    if unknown := set(wanted) - set(names):
        sys.exit(f"bench: no such row: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    plan = Plan(seconds=3, rounds=1, full=False) if arguments.quick else Plan()
    os.makedirs(machine.WORK, exist_ok=True)
    lines, failed, chosen = {}, [], [row for row in ROWS if row.name in wanted]
    for row in chosen:
        print(f"bench: {row.name} …", file=sys.stderr, flush=True)
        try:
            line = ledger.entry(row, settled(lambda row=row: row.measure(plan)))
        except (Exception, SystemExit) as failure:  # The other rows are worth having: this one is named at the end.
            print(f"bench: {row.name} FAILED: {failure!r}", file=sys.stderr, flush=True)
            failed.append(row.name)
            continue
        lines[row.name] = line
        print("\n".join(ledger.table([row], lines).splitlines()[2:]), file=sys.stderr, flush=True)
        if not arguments.quick:
            ledger.append(line)
    print(ledger.table(chosen, lines))
    if not arguments.quick:
        page.write(ROWS)
    if failed:
        sys.exit(f"bench: without a result: {', '.join(failed)}")


main()
