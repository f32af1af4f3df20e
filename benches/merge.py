#!/usr/bin/env python3
"""Times `merge` beside `add` of the same runs, by CPU time, and prints the ratios.

    python3 benches/merge.py [--sizes 10000,100000] [--folder FOLDER] [LOCALSTORE]

The runs are those of scale.py, nine tests each. `add` reads them as json into a new store; `merge` takes
them out of a store into another new one, and then once more, when all of them are known; `add` too. The
commands take turns, so that a busy machine slows them alike; the median of the rounds counts.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile

from scale import ROOT, runs


def seconds(args):
    """Seconds of a core that a process takes, the system's included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode != 0:
        sys.exit("failed: " + " ".join(args))
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def remove(path):
    for ending in ("", "-wal", "-shm"):
        if os.path.exists(path + ending):
            os.remove(path + ending)


def measure(localstore, folder, count, rounds):
    path = lambda name: os.path.join(folder, name)
    stream, added, merged = path("runs.jsonl"), path("added.db"), path("merged.db")
    with open(stream, "w") as file:
        file.writelines(text + "\n" for text in runs(count))
    add = [localstore, "--db", added, "add", stream]
    merge = [localstore, "--db", merged, "merge", added]
    times = [[] for _ in range(4)]
    for _ in range(rounds):
        remove(added)
        remove(merged)
        for elapsed, args in zip(times, (add, merge, add, merge)):
            elapsed.append(seconds(args))
    new, taken, again, known = (statistics.median(one) for one in times)
    print("| %d | %.2f s | %.2f s | %.2f | %.2f s | %.2f s | %.2f |" % (
        count, new, taken, taken / new, again, known, known / again), flush=True)
    for name in (stream, added, merged):
        remove(name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("localstore", nargs="?",
                        default=os.path.join(ROOT, "target/dist/localstore"))
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--folder")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    print("| runs | `add` | `merge` | ratio | `add`, known | `merge`, known | ratio |")
    print("| --- |" + " ---: |" * 6)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for size in args.sizes.split(","):
            measure(args.localstore, folder, int(size), args.rounds)


if __name__ == "__main__":
    main()
