#!/usr/bin/env python3
"""Makes stores of many runs through `add`, from one stream of jsonl, and times commands on them.

    python3 benches/scale.py [LOCALSTORE] [RUNS…]

RUNS are the sizes (default: 1000 100000). Each run has nine tests of four repetitions; there are
20 models on 10 accelerators, and no two runs are the same. A run takes about 3 KB.
The folder of the stores is that of temporary files; TMPDIR names another one.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOLDEN = os.path.join(ROOT, "fixtures/golden/gpu-reps4.json")


def templates():
    """For each model and accelerator, the line of a run with places for its numbers."""
    with open(GOLDEN) as file:
        run = json.load(file)
    lines = []
    for model in range(20):
        for accelerator in range(10):
            run["accelerator_info"]["name"] = "Accelerator %d" % accelerator
            for test in run["results"]:
                test["model_name"] = "Model %d" % model
                test["test_time"] = "@TIME@"
                for field in ("prompt_tps", "gen_tps", "ttft_ms"):
                    test[field] = "@" + field
            line = json.dumps(run).replace("%", "%%")
            for field in ("prompt_tps", "gen_tps", "ttft_ms"):
                line = line.replace('"@%s"' % field, "%.6f")
            lines.append(line.replace("@TIME@", "%s") + "\n")
    return lines, len(run["results"])


def write_runs(out, count):
    lines, tests = templates()
    random.seed(1)
    for index in range(count):
        begin = time.gmtime(1735689600 + 31 * index)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", begin)
        # The fields of a test come in the order of the document: time, speeds, first token.
        noise = random.random()
        values = []
        for test in range(tests):
            values += [stamp, 8000 + 900 * noise + test, 130 + 9 * noise + index * 1e-6,
                       160 + 20 * noise]
        out.write((lines[index % len(lines)] % tuple(values)).encode())


def timed(args, stdin=None):
    """Seconds and peak memory in MB of a process; its output is thrown away."""
    start = time.perf_counter()
    process = subprocess.Popen(args, stdin=stdin or subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit("failed: " + " ".join(args))
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def fill(localstore, store, count):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        with os.fdopen(writer, "wb", 1 << 20) as out:
            write_runs(out, count)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        taken = timed([localstore, "--db", store, "add"], stream)
    os.wait()
    return taken


def main():
    args = sys.argv[1:]
    localstore = os.path.join(ROOT, "target/release/localstore")
    if args and not args[0].isdigit():
        localstore = args.pop(0)
    print("| runs | command | seconds | MB |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for count in [int(arg) for arg in args] or [1000, 100000]:
            store = os.path.join(folder, "%d.sqlite3" % count)
            copy = store + ".copy"
            report = lambda what, taken: print("| %d | %s | %.3f | %.0f |" % (count, what, *taken),
                                               flush=True)
            report("add of all, one stream", fill(localstore, store, count))
            size = os.path.getsize(store)
            for command in (["list", "--limit", "20"], ["list", "--limit", "20", "--sort", "score"],
                            ["best"], ["show", "last"], ["add", GOLDEN], ["rm", "-y", "7"],
                            ["backup", "--force", copy], ["check"]):
                taken = timed([localstore, "--db", store] + command)
                report("`%s`" % " ".join(os.path.basename(word) for word in command), taken)
            print("| %d | size of the file | | %.0f |" % (count, size / 1e6), flush=True)
            os.remove(copy)
            os.remove(store)


main()
