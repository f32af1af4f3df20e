#!/usr/bin/env python3
"""What `trace record` costs an agent.

    python3 benches/trace.py [LOCALSTORE]

Each agent is run by itself and recorded, by turns: an end at once; parts that change no file, each printed
when the one before is on disk, in a repository of 200 files; 5,000 parts that are printed as fast as they
are taken; and a part with a changed file in a repository of 20,000 files, at which the agent goes on
without waiting. Medians; memory is the most that the recorder has had.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCALSTORE = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "target/release/localstore")

AGENT = r"""
import json, os, sys, time
kind, count, trace = sys.argv[1], int(sys.argv[2]), sys.argv[3]

def part(number):
    event = {"event": "part.completed", "part_type": "tool", "summary": f"{number} " + "x" * 200}
    os.write(1, (json.dumps(event) + "\n").encode())

start = time.perf_counter()
for number in range(1, count + 1):
    if kind == "change":
        with open("d0/f0", "w") as file:
            file.write(str(number))
    part(number)
    if kind == "wait" and os.path.exists(trace):
        needle = b'"part":%d,' % number
        while needle not in open(trace, "rb").read():
            time.sleep(0.0002)
took = (time.perf_counter() - start) * 1000
print(f"took {took}", file=sys.stderr)
"""


def repository(folder, files):
    """Makes a repository with a commit of this number of files."""
    os.makedirs(folder)
    for number in range(files):
        name = os.path.join(folder, f"d{number // 100}/f{number % 100}")
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "w") as file:
            file.write(f"{number}\n")
    for words in [["init", "-q"], ["add", "-A"],
                  ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first"]]:
        subprocess.run(["git", *words], cwd=folder, check=True, stderr=subprocess.DEVNULL)


def run(home, kind, count, is_recorded):
    """Milliseconds of a whole run and of the agent's own loop, and the recorder's memory in MiB."""
    identity = f"t{time.monotonic_ns()}"
    traces = os.path.join(home, "traces")
    trace = os.path.join(traces, "trajectories", identity, "agent_trace.json")
    agent = [sys.executable, "-c", AGENT, kind, str(count), trace]
    if kind == "end":
        agent = ["true"]
    words = [LOCALSTORE, "trace", "record", "--id", identity, "--max-parts", "0", "--", *agent]
    env = dict(os.environ, LOCALSTORE_TRACES=traces, LOCALSTORE_DB=os.path.join(home, "store.db"))
    memory = 0
    start = time.perf_counter()
    process = subprocess.Popen(words if is_recorded else agent, cwd=os.path.join(home, "work"), env=env,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while kind == "flood" and process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status") as status:
                memory = next((int(line.split()[1]) for line in status if line.startswith("VmHWM")), memory)
        except OSError:
            pass
        time.sleep(0.02)
    told = process.communicate()[1]
    whole = (time.perf_counter() - start) * 1000
    if process.returncode:
        sys.exit(told)
    own = [float(line.split()[1]) for line in told.splitlines() if line.startswith("took ")]
    return whole, own[0] if own else whole, memory / 1024


def compare(title, files, kind, count, rounds, unit, value):
    """Prints what a run costs with the recorder and without, in one series."""
    with tempfile.TemporaryDirectory() as home:
        repository(os.path.join(home, "work"), files)
        pairs = [(run(home, kind, count, False), run(home, kind, count, True)) for _ in range(rounds)]
    bare = statistics.median(value(pair[0]) for pair in pairs)
    recorded = statistics.median(value(pair[1]) for pair in pairs)
    memory = max(pair[1][2] for pair in pairs)
    room = f", {memory:.0f} MiB" if memory else ""
    print(f"{title}: {recorded:9.2f} {unit}, alone {bare:.2f}, {recorded / bare:.1f} times{room}", flush=True)


compare("start and end, 200 files", 200, "end", 0, 15, "ms", lambda run: run[0])
compare("start and end, 20,000 files", 20_000, "end", 0, 5, "ms", lambda run: run[0])
compare("a part without a change, 200 files", 200, "wait", 500, 3, "ms a part", lambda run: run[1] / 500)
compare("5,000 parts, 200 files", 200, "flood", 5000, 3, "ms a part", lambda run: run[0] / 5000)
compare("the agent's loop of 10 changes, 20,000 files", 20_000, "change", 10, 3, "ms", lambda run: run[1])
