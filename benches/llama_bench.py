#!/usr/bin/env python3
"""Times localstore with rows of llama-bench beside the sqlite3 shell, and prints the ratios.

    python3 benches/llama_bench.py [--sizes 1000,100000,1000000] [--folder FOLDER] [LOCALSTORE]

The rows are made here: csv of one call that tests other sizes in each row, so that all of them are one
run. The shell imports the same file into a table without index, and prints it as csv. Both sides take
turns, so that a busy machine slows them alike; the median of the rounds counts. Needs the sqlite3 shell.
"""

import argparse
import filecmp
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOLDEN = os.path.join(ROOT, "fixtures/golden/llama-bench/v-b11500-default.csv")


def write_csv(path, rows, seed):
    """A csv of so many rows, all of one run."""
    with open(GOLDEN) as file:
        names, row = file.readline().rstrip("\n"), file.readline().rstrip("\n")
    columns = names.split(",")
    values = [value.strip('"') for value in row.split('","')]
    rng = random.Random(seed)
    with open(path, "w") as file:
        file.write(names + "\n")
        for index in range(rows):
            size = str(1 + index // 2)
            row = dict(zip(columns, values))
            row["n_prompt"], row["n_gen"] = ("0", size) if index % 2 else (size, "0")
            row["test_time"] = "2026-10-%02dT%02d:%02d:%02dZ" % (
                1 + index // 86400, index // 3600 % 24, index // 60 % 60, index % 60)
            row["avg_ns"] = str(rng.randrange(10**7, 10**9))
            row["stddev_ns"] = str(rng.randrange(10**5, 10**7))
            row["avg_ts"] = "%.6f" % rng.uniform(50, 9000)
            row["stddev_ts"] = "%.6f" % rng.uniform(0.1, 90)
            file.write('"' + '","'.join(row[name] for name in columns) + '"\n')


def timed(args, output=os.devnull):
    """Milliseconds that a process takes, and its memory in MiB."""
    with open(output, "wb") as out:
        start = time.perf_counter()
        process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = (time.perf_counter() - start) * 1000
    if status != 0:
        sys.exit("failed: " + " ".join(args[:6]))
    return elapsed, usage.ru_maxrss / 1024


def remove(path):
    for ending in ("", "-wal", "-shm"):
        if os.path.exists(path + ending):
            os.remove(path + ending)


def report(what, ours, shell=()):
    elapsed = statistics.median(elapsed for elapsed, _ in ours)
    memory = max(memory for _, memory in ours)
    line = "%-34s localstore %9.1f ms %6.1f MiB" % (what, elapsed, memory)
    if shell:
        beside = statistics.median(elapsed for elapsed, _ in shell)
        line += "   sqlite3 %9.1f ms   ratio %.2f" % (beside, elapsed / beside)
    print(line, flush=True)


def measure(localstore, folder, rows, rounds):
    path = lambda name: os.path.join(folder, name)
    csv, ours, theirs = path("rows-%d.csv" % rows), path("ours-%d.db" % rows), path("theirs.db")
    write_csv(csv, rows, 1)
    added, imported, exported, printed = [], [], [], []
    for _ in range(rounds):
        remove(ours)
        remove(theirs)
        added.append(timed([localstore, "--db", ours, "add", csv]))
        imported.append(timed(["sqlite3", theirs, ".import --csv %s test" % csv]))
    report("add of %d rows" % rows, added, imported)
    for _ in range(rounds):
        exported.append(timed([localstore, "--db", ours, "export", "1", "-o", "csv"], path("out.csv")))
        printed.append(timed(["sqlite3", "-csv", "-header", theirs, "SELECT * FROM test"],
                             path("theirs.csv")))
    report("export of %d rows as csv" % rows, exported, printed)
    # Not read here: a child counts the memory of this process until it becomes its own.
    if not filecmp.cmp(csv, path("out.csv"), shallow=False):
        sys.exit("the export is not what was added")
    write_csv(csv, rows, 2)
    timed([localstore, "--db", ours, "add", csv])
    for what in (["list"], ["show", "1"], ["compare", "1", "2"]):
        times = [timed([localstore, "--db", ours, *what]) for _ in range(rounds)]
        report("%s, %d tests" % (what[0], rows), times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("localstore", nargs="?",
                        default=os.path.join(ROOT, "target/dist/localstore"))
    parser.add_argument("--sizes", default="1000,100000,1000000")
    parser.add_argument("--folder")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for size in args.sizes.split(","):
            measure(args.localstore, args.folder or temporary, int(size), args.rounds)


main()
