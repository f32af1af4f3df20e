#!/usr/bin/env python3
"""Times the commands on stores of a thousand, a hundred thousand and a million runs.

    python3 benches/scale.py [--sizes 1000,100000,1000000] [--folder FOLDER] [LOCALSTORE]

The runs are made here: nine tests each, of 10 models on 5 accelerators under 20 versions of the
runtime, a run every five minutes. The stores, which need 3 GB for a million runs, are made in
FOLDER (else in a temporary one) and kept there if it was named. Every command is a whole process;
the stores take turns, so that a busy machine slows them alike, and the median of the rounds counts.
Needs the sqlite3 shell for the export beside it.
"""

import argparse
import datetime
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOKENS = [(1024, 16), (4096, 256), (2048, 256), (2048, 768), (1024, 1024), (1280, 3072),
          (384, 1152), (64, 1024), (16, 1536)]
MODELS, ACCELERATORS, VERSIONS = 10, 5, 20
START = datetime.datetime(2015, 1, 1)
# What the shell has to print for the same rows as `export --all -o csv`.
CSV_QUERY = """
SELECT m.build_commit, m.build_number, m.model_name, m.model_quant_str, m.model_params_str,
       m.model_filename, m.model_type, m.model_size, m.model_n_params, t.n_prompt, t.n_gen,
       t.test_time, t.avg_time_ms, t.stddev_time_ms, t.prompt_tps, t.prompt_tps_watt,
       t.prompt_tps_stddev, t.gen_tps, t.gen_tps_watt, t.gen_tps_stddev, t.name, t.power_watts,
       t.ttft_ms, m.main_gpu
FROM localstore_tests t JOIN localstore_models m ON m.id = t.model_id
ORDER BY t.run_id, t.position"""


def document(rng, model, accelerator, version, at):
    """A run as LocalScore prints it with -o json, on one line."""
    of_run = [rng.gauss(1, 0.01) for _ in range(2)]
    results = []
    for n_prompt, n_gen in TOKENS:
        pp = 8000 * of_run[0] * rng.gauss(1, 0.003)
        tg = 130 * of_run[1] * rng.gauss(1, 0.003)
        seconds = n_prompt / pp + n_gen / tg
        results.append({
            "build_commit": "a30b324", "build_number": 1500, "model_name": model,
            "model_quant_str": "Q4_K - Medium", "model_params_str": "8B",
            "model_filename": model.replace(" ", "-") + ".gguf", "model_type": "llama 8B",
            "model_size": 4912898304, "model_n_params": 8030261312, "n_prompt": n_prompt,
            "n_gen": n_gen, "test_time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "avg_time_ms": round(seconds * 1e3, 6), "stddev_time_ms": 0.0,
            "prompt_tps": round(pp, 6), "prompt_tps_watt": 0.0, "prompt_tps_stddev": 0.0,
            "gen_tps": round(tg, 6), "gen_tps_watt": 0.0, "gen_tps_stddev": 0.0,
            "name": "pp%d+tg%d" % (n_prompt, n_gen), "power_watts": 0.0,
            "ttft_ms": round((n_prompt / pp + 1 / tg) * 1e3, 6), "main_gpu": 0,
            "samples_ns": [int(seconds * 1e9)]})
    return json.dumps({
        "runtime_info": {"name": "llamafile", "version": version, "commit": "a30b324"},
        "system_info": {"cpu_name": "AMD Ryzen 9 7950X", "cpu_arch": "x86_64", "ram_gb": 62.5,
                        "kernel_type": "Linux", "kernel_release": "6.8.0", "version": "#1 SMP"},
        "accelerator_info": {"name": accelerator, "manufacturer": "NVIDIA", "memory_gb": 23.99,
                             "type": "GPU"},
        "results": results}, separators=(",", ":"))


def runs(count):
    """So many documents. Speeds are made for a few hundred; of the others a digit differs."""
    rng = random.Random(1)
    made = []
    for _ in range(300):
        text = document(rng, "@model@", "@accelerator@", "@version@", START)
        text = text.replace(START.strftime("%Y-%m-%dT%H:%M:%SZ"), "@time@")
        made.append(text.replace('"avg_time_ms":', '"avg_time_ms":@digits@'))
    for index in range(count):
        at = START + datetime.timedelta(seconds=300 * index)
        version = "0.%d.%d" % divmod(index * VERSIONS // count, 10)
        yield (made[rng.randrange(len(made))]
               .replace("@digits@", str(1000 + index % 9000))
               .replace("@model@", "Model %dB" % (1 + rng.randrange(MODELS)))
               .replace("@accelerator@", "GPU %d" % (1 + rng.randrange(ACCELERATORS)))
               .replace("@version@", version)
               .replace("@time@", at.strftime("%Y-%m-%dT%H:%M:%SZ")))


class Usage:
    """What a process took: seconds by the clock, seconds of one core, memory in MiB."""

    def __init__(self, args, stdin=None, cores=None):
        prepare = (lambda: os.sched_setaffinity(0, cores)) if cores else None
        start = time.perf_counter()
        process = subprocess.Popen(args, stdin=stdin or subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   preexec_fn=prepare)
        message = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        self.seconds = time.perf_counter() - start
        self.core = usage.ru_utime + usage.ru_stime
        self.memory = usage.ru_maxrss / 1024
        if status != 0:
            sys.exit("failed: %s\n%s" % (" ".join(args), message))


def make(localstore, path, count):
    """A store of so many runs, from one stream."""
    if os.path.exists(path):
        return
    adding = subprocess.Popen([localstore, "--db", path, "add"], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for text in runs(count):
        adding.stdin.write(text.encode() + b"\n")
    adding.stdin.close()
    if adding.wait() != 0:
        sys.exit("add failed")


def milliseconds(seconds):
    return "%.1f ms" % (seconds * 1e3) if seconds < 10 else "%.1f s" % seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="1000,100000,1000000")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--bulk", type=int, default=100000)
    parser.add_argument("--folder")
    parser.add_argument("localstore", nargs="?",
                        default=os.path.join(ROOT, "target/dist/localstore"))
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        measure(options, sizes, options.folder or scratch, scratch)


def measure(options, sizes, folder, scratch):
    localstore = options.localstore
    stream = os.path.join(scratch, "stream.jsonl")
    with open(stream, "w") as file:
        file.writelines(text + "\n" for text in runs(options.bulk))
    with open(stream) as file:
        usage = Usage([localstore, "--db", os.path.join(scratch, "bulk.db"), "add"], file, {0})
    print("bulk add of %d runs from one stream on one core: %.1f s, %.0f runs a second"
          " (%.0f a second of the core), %.0f MiB"
          % (options.bulk, usage.seconds, options.bulk / usage.seconds,
             options.bulk / usage.core, usage.memory), flush=True)
    os.remove(stream)

    stores = [os.path.join(folder, "%d.db" % size) for size in sizes]
    for size, store in zip(sizes, stores):
        make(localstore, store, size)

    header = ["command"] + ["%d runs" % size for size in sizes] + ["ratio", "memory"]
    print("| " + " | ".join(header) + " |")
    print("| --- |" + " ---: |" * (len(header) - 1))
    rng = random.Random(2)

    def row(name, command, rounds=options.rounds, before=None, shell=False):
        times, memory = [[] for _ in sizes], 0
        for _ in range(rounds):
            for index, store in enumerate(stores):
                if before:
                    before(index)
                args = command(store) if shell else [localstore, "--db", store] + command(store)
                usage = Usage(args)
                times[index].append(usage.seconds)
                memory = max(memory, usage.memory)
        medians = [statistics.median(one) for one in times]
        cells = [name] + [milliseconds(one) for one in medians]
        cells += ["%.2f" % (medians[-1] / medians[0]), "%.0f MiB" % memory]
        print("| " + " | ".join(cells) + " |", flush=True)
        return medians

    new = os.path.join(scratch, "new.json")

    def write_new(model):
        def write(_):
            at = START + datetime.timedelta(days=9000, seconds=rng.randrange(10 ** 8))
            with open(new, "w") as file:
                file.write(document(rng, model(), "GPU 1", "0.9.9", at))
        return write

    row("`add`, known configuration", lambda _: ["add", new],
        before=write_new(lambda: "Model 1B"))
    row("`add`, new configuration", lambda _: ["add", new],
        before=write_new(lambda: "Model %d" % rng.randrange(10 ** 12)))
    row("`list`", lambda _: ["list"])
    row("`list --limit 20`", lambda _: ["list", "--limit", "20"])
    row("`show`", lambda _: ["show"])
    row("`export` of one", lambda _: ["export", "500", "-o", "json"])
    row("`compare` of two runs", lambda _: ["compare", "500", "501"])
    row("`compare --baseline last`", lambda _: ["compare", "--baseline", "last", "900"])
    row("`history`", lambda _: ["history", "--model", "Model 7B", "--accelerator", "GPU 2"])
    row("`best`", lambda _: ["best"])
    ours = row("`export --all -o csv`", lambda _: ["export", "--all", "-o", "csv"], rounds=1)
    shell = row("`sqlite3 -csv` of these rows",
                lambda store: ["sqlite3", "-csv", "-header", store, CSV_QUERY],
                rounds=1, shell=True)
    row("`check`", lambda _: ["check"], rounds=1)
    copy = os.path.join(scratch, "copy.db")
    remove = lambda _: [os.remove(copy + end) for end in ("", "-wal", "-shm")
                        if os.path.exists(copy + end)]
    row("`backup`", lambda _: ["backup", copy], rounds=1, before=remove)
    remove(0)
    row("`merge` into a new store",
        lambda store: [localstore, "--db", copy, "merge", store],
        rounds=1, before=remove, shell=True)
    print("\nexport beside the shell: " + ", ".join(
        "%.2f" % (one / other) for one, other in zip(ours, shell)))


if __name__ == "__main__":
    main()
