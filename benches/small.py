#!/usr/bin/env python3
"""Size and start-up of localstore beside the sqlite3 shell and a Python script for the same job.

    python3 benches/small.py [LOCALSTORE]

The script reads a json document of LocalScore with the standard library and inserts it into the
public tables of a store that is there; it knows no other format, finds no run again, and keeps no
score table. All take turns, so that a busy machine slows them alike: medians, and for the starts the
least as well, and how many times as long as the shell localstore takes.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCALSTORE = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "target/dist/localstore")
GOLDEN = os.path.join(ROOT, "fixtures/golden/gpu-reps4.json")
OTHER = os.path.join(ROOT, "fixtures/golden/cpu-i7-14b.json")
ADD = """
import json, sqlite3, sys
run = json.load(open(sys.argv[2]))
db = sqlite3.connect(sys.argv[1])
a, t = run["accelerator_info"], run["results"]
db.execute("INSERT INTO accelerators (name, type, memory_gb, manufacturer) VALUES (?, ?, ?, ?)"
           " ON CONFLICT DO NOTHING", (a["name"], a["type"], a["memory_gb"], a["manufacturer"]))
mean = lambda key: sum(test[key] for test in t) / len(t)
pp, tg, ttft = mean("prompt_tps"), mean("gen_tps"), mean("ttft_ms")
id = db.execute("INSERT INTO benchmark_runs (accelerator_id, avg_prompt_tps, avg_gen_tps,"
                " avg_ttft_ms, performance_score) VALUES ((SELECT id FROM accelerators WHERE"
                " name = ?), ?, ?, ?, ?)",
                (a["name"], pp, tg, ttft, 10 * (pp * tg * 1000 / ttft) ** (1 / 3))).lastrowid
db.executemany("INSERT INTO test_results (benchmark_run_id, name, n_prompt, n_gen, prompt_tps,"
               " gen_tps, ttft_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
               [(id, r["name"], r["n_prompt"], r["n_gen"], r["prompt_tps"], r["gen_tps"],
                 r["ttft_ms"]) for r in t])
db.commit()
"""
LIST = """
import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]):
    print(*row)
"""
QUERY = ("SELECT b.id, a.name, b.performance_score FROM benchmark_runs b"
         " LEFT JOIN accelerators a ON a.id = b.accelerator_id ORDER BY b.id DESC LIMIT 20")


def timed(args):
    """Milliseconds that a process takes, started without copying this one."""
    silent = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
              (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
              (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    start = time.perf_counter()
    process = os.posix_spawnp(args[0], args, os.environ, file_actions=silent)
    _, status = os.waitpid(process, 0)
    elapsed = (time.perf_counter() - start) * 1000
    if status != 0:
        sys.exit("failed: " + " ".join(args[:5]))
    return elapsed


def by_turns(commands, rounds, before=lambda: None):
    times = [[] for _ in commands]
    for _ in range(rounds):
        for command, taken in zip(commands, times):
            before()
            taken.append(timed(command))
    return times


def row(what, commands, before=lambda: None):
    times = by_turns(commands, 30, before)
    cells = ["%.1f ms" % statistics.median(taken) for taken in times]
    print("| %s | %s |" % (what, " | ".join(cells)))


def start_row(what, ours, shell):
    ours, shell = by_turns([ours, shell], 300)
    cells = ["%.2f ms" % find(times) for find in (statistics.median, min) for times in (ours, shell)]
    ratios = ["%.2f" % (find(ours) / find(shell)) for find in (statistics.median, min)]
    print("| %s | %s |" % (what, " | ".join(cells[:2] + ratios[:1] + cells[2:] + ratios[1:])))


def main():
    print("| | localstore | sqlite3 | Python |\n| --- | ---: | ---: | ---: |")
    sizes = [LOCALSTORE, shutil.which("sqlite3"), os.path.realpath(sys.executable)]
    print("| program file | %s |" % " | ".join(
        "%.1f MB" % (os.path.getsize(path) / 1e6) for path in sizes))
    row("start", [[LOCALSTORE, "--version"], ["sqlite3", "-version"], ["python3", "-c", ""]])
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "store.db")

        def fresh():
            for ending in ("", "-wal", "-shm"):
                if os.path.exists(store + ending):
                    os.remove(store + ending)
            shutil.copy(store + ".one", store)

        subprocess.run([LOCALSTORE, "--db", store, "add", OTHER], check=True,
                       stdout=subprocess.DEVNULL)
        shutil.copy(store, store + ".one")
        sql = os.path.join(folder, "rows.sql")
        subprocess.run([LOCALSTORE, "--db", store, "add", GOLDEN], check=True,
                       stdout=subprocess.DEVNULL)
        dump = subprocess.run(["sqlite3", store, ".dump benchmark_runs test_results"],
                              stdout=subprocess.PIPE, check=True).stdout.decode()
        inserts = [line for line in dump.split("\n")
                   if line.startswith("INSERT INTO benchmark_runs VALUES(2,")
                   or line.startswith("INSERT INTO test_results") and ",2,'pp" in line]
        with open(sql, "w") as file:
            file.write("BEGIN;" + "".join(inserts) + "COMMIT;")
        row("add one run", [[LOCALSTORE, "--db", store, "add", GOLDEN],
                            ["sqlite3", store, ".read " + sql],
                            ["python3", "-c", ADD, store, GOLDEN]], before=fresh)
        row("list 20 runs", [[LOCALSTORE, "--db", store, "list", "--limit", "20"],
                             ["sqlite3", store, QUERY],
                             ["python3", "-c", LIST, store, QUERY]])

        print("\n| start | median | sqlite3 | ratio | least | sqlite3 | ratio |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        empty = os.path.join(folder, "empty.db")
        for args in (["add", OTHER], ["rm", "--yes", "1"]):
            subprocess.run([LOCALSTORE, "--db", empty] + args, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        start_row("`--version`", [LOCALSTORE, "--version"], ["sqlite3", "-version"])
        start_row("`path`", [LOCALSTORE, "--db", empty, "path"], ["sqlite3", "-version"])
        start_row("`list` of an empty store", [LOCALSTORE, "--db", empty, "list"],
                  ["sqlite3", empty, QUERY])


main()
