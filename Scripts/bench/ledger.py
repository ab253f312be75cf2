"""The ledger, one line for each row of each run, only ever appended; and the page, written from the newest line of each row."""
import datetime
import os
import subprocess

import machine

COLUMNS = ["date", "commit", "row", "ours", "peer", "ratio", "low", "high", "bar", "met", "cpu_us", "peer_cpu_us", "p50_us", "p99_us",
           "peer_p99_us", "rss_mib", "client_share", "peer_client_share", "note"]
LEDGER = os.path.join(machine.ROOT, "docs/benchmarks.tsv")


def commit():
    """The last change of what is measured; with a plus when the working tree has others."""
    def git(*words):
        return subprocess.run(["git", "-C", machine.ROOT, *words], capture_output=True, text=True).stdout.strip()
    return git("log", "-1", "--format=%h", "--", "Sources", "Package.swift") + ("+" if git("status", "--porcelain", "Sources", "Package.swift") else "")


def entry(row, found):
    """The line of a row."""
    fields = dict(found, date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%MZ"), commit=commit(), row=row.name,
                  bar=row.bar, met=row.verdict(found["ratio"]))
    return {name: short(fields.get(name)) for name in COLUMNS}


def short(value):
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1_000 else f"{value:.0f}" if isinstance(value, float) else str(value)


def append(line):
    is_new = not os.path.exists(LEDGER)
    with open(LEDGER, "a") as file:
        if is_new:
            file.write("\t".join(COLUMNS) + "\n")
        file.write("\t".join(line[name] for name in COLUMNS) + "\n")


def newest():
    """The newest line of each row."""
    if not os.path.exists(LEDGER):
        return {}
    with open(LEDGER) as file:
        names = file.readline().rstrip("\n").split("\t")
        lines = [dict(zip(names, line.rstrip("\n").split("\t"))) for line in file]
    return {line["row"]: line for line in lines}


def grouped(text):
    """A number with its thousands apart."""
    return f"{int(text):,}".replace(",", " ") if text.isdigit() else text


def table(rows, lines):
    out = ["| Work | Ours | Peer | Peer's figure | Ratio (spread) | Bar | Met | CPU µs/op (peer) | p50 / p99 µs | RSS MiB | Client's core |",
           "|---|---|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        line = lines.get(row.name)
        if not line:
            out.append(f"| {row.title} | not run | | | | | | | | | |")
            continue
        spread = f"{grouped(line['low'])}–{grouped(line['high'])}"
        ratio = f"**{line['ratio']}** ({spread})" if row.peer else f"({spread})"
        bar = ("≤ " if row.below else "≥ ") + grouped(line["bar"]) + ("" if row.peer else f" {row.unit}") if line["bar"] else "–"
        cpu = line["cpu_us"] + (f" ({line['peer_cpu_us']})" if line["peer_cpu_us"] else "")
        share = f"{100 * float(line['client_share']):.0f} %" if line["client_share"] else ""
        latency = f"{grouped(line['p50_us'])} / {grouped(line['p99_us'])}" if line["p50_us"] else ""
        peer = f"{grouped(line['peer'])} {row.unit}" if line["peer"] else ""
        out.append(f"| {row.title} | {grouped(line['ours'])} {row.unit} | {row.peer} | {peer} | {ratio} | {bar} | {line['met']} | {cpu} "
                   f"| {latency} | {line['rss_mib']} | {share} |")
    notes = [f"* {row.name}: {lines[row.name]['note']}" for row in rows if row.name in lines and lines[row.name]["note"]]
    return "\n".join(out + [""] * bool(notes) + notes)
