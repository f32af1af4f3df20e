#!/usr/bin/env python3
"""Times localstore beside the sqlite3 shell, in one run, and prints the ratios.

    python3 benches/against_sqlite3.py [LOCALSTORE]

The shell gets ready-made SQL of the very rows that localstore stores: no reading of json, no
looking up of names. Needs the sqlite3 shell. Both sides take turns, so that a busy machine slows
them alike; the median of the rounds counts.
"""

import os
import re
import random
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCALSTORE = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "target/dist/localstore")
GOLDEN = os.path.join(ROOT, "fixtures/golden/gpu-rtx4090-8b.json")
FILES = 2000
PRAGMAS = "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;"


PEAK = {}


def timed(args, stdin=None):
    """Milliseconds that a process takes; its memory goes into PEAK."""
    with open(stdin or os.devnull) as source:
        start = time.perf_counter()
        process = subprocess.Popen(args, stdin=source, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = (time.perf_counter() - start) * 1000
    if status != 0:
        sys.exit("failed: " + " ".join(args[:5]))
    PEAK[args[0]] = max(PEAK.get(args[0], 0), usage.ru_maxrss)
    return elapsed


def write_runs(folder):
    """Files of 12 KB, each another run."""
    with open(GOLDEN) as file:
        text = file.read()
    random.seed(1)
    noise = lambda match: "%s%.6f" % (match[1], float(match[2]) * random.uniform(0.97, 1.03))
    pattern = re.compile(r'("(?:prompt_tps|gen_tps|ttft_ms|avg_time_ms)": )([\d.]+)')
    names = []
    for index in range(FILES):
        names.append(os.path.join(folder, "%d.json" % index))
        with open(names[-1], "w") as file:
            file.write(pattern.sub(noise, text))
    return names


def rows_as_sql(store, path):
    """The INSERT statements of a store, in one transaction."""
    dump = subprocess.run(["sqlite3", store, ".dump"], stdout=subprocess.PIPE, check=True).stdout
    schema, inserts = [], []
    for statement in dump.decode().split(";\n"):
        if "sqlite_sequence" in statement or statement.startswith(("BEGIN", "COMMIT", "PRAGMA")):
            continue
        (inserts if statement.startswith("INSERT") else schema).append(statement)
    with open(path, "w") as file:
        file.write(PRAGMAS + "BEGIN;\n" + ";\n".join(inserts) + ";\nCOMMIT;\n")
    return ";\n".join(statement for statement in schema if statement.strip()) + ";\n"


def fresh(path, schema=None):
    for ending in ("", "-wal", "-shm"):
        if os.path.exists(path + ending):
            os.remove(path + ending)
    if schema:
        subprocess.run(["sqlite3", path], input=(PRAGMAS + schema).encode(),
                       stdout=subprocess.DEVNULL, check=True)


def report(what, ours, shell=None):
    ours = statistics.median(ours)
    line = "%-34s localstore %8.2f ms" % (what, ours)
    if shell:
        shell = statistics.median(shell)
        line += "   sqlite3 %8.2f ms   ratio %.2f" % (shell, ours / shell)
    print(line)


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name)
        runs = write_runs(folder)
        # First of all: a child counts the memory of this process until it becomes its own.
        timed([LOCALSTORE, "--db", path("memory.db"), "add"] + runs)
        print("%-34s localstore %8d KB" % ("memory of adding all", PEAK[LOCALSTORE]))
        ours, theirs, sql = path("ours.db"), path("theirs.db"), path("rows.sql")

        subprocess.run([LOCALSTORE, "--db", ours, "add", runs[0]], stdout=subprocess.DEVNULL)
        schema = rows_as_sql(ours, sql)
        one, shell = [], []
        for round in range(40):
            fresh(ours)
            subprocess.run([LOCALSTORE, "--db", ours, "add", runs[1]], stdout=subprocess.DEVNULL)
            fresh(theirs, schema)
            one.append(timed([LOCALSTORE, "--db", ours, "add", runs[0]]))
            shell.append(timed(["sqlite3", theirs], sql))
        report("add of one run", one, shell)

        fresh(ours)
        subprocess.run([LOCALSTORE, "--db", ours, "add"] + runs, stdout=subprocess.DEVNULL)
        rows_as_sql(ours, sql)
        many, shell = [], []
        for round in range(7):
            fresh(ours)
            fresh(theirs, schema)
            many.append(timed([LOCALSTORE, "--db", ours, "add"] + runs))
            shell.append(timed(["sqlite3", theirs], sql))
        report("add of %d files of 12 KB" % FILES, many, shell)

        report("list of %d runs" % FILES,
               [timed([LOCALSTORE, "--db", ours, "list"]) for _ in range(20)])
        report("list --limit 20",
               [timed([LOCALSTORE, "--db", ours, "list", "--limit", "20"]) for _ in range(20)])
        report("--version", [timed([LOCALSTORE, "--version"]) for _ in range(20)])


main()
