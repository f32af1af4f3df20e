#!/usr/bin/env python3
"""How long `prompt list` takes with 100 records, and `prompt check` with 10,000.

    python3 benches/prompt.py [LOCALSTORE]

Each record has four sections of about 400 characters and a tool; all have a prompts document, and
every tenth section is stale. Medians of 15 rounds, and of 5 for `check`.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCALSTORE = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "target/release/localstore")


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def project(folder, count):
    """Writes this number of records and their prompts documents."""
    home = os.path.join(folder, ".weakincentives/prompts")
    os.makedirs(os.path.join(folder, ".git"))
    os.makedirs(home)
    tool = {"name": "search", "contract_hash": sha256("search"), "description": "Search."}
    with open(os.path.join(home, "prompts.jsonl"), "w") as documents:
        for index in range(count):
            ns, key = f"team{index % 20}", f"prompt{index}"
            bodies = {f"part{n}": f"You are ${{name}}, number {index}.\n" * 13 for n in range(4)}
            sections = [{"path": [path], "content_hash": sha256(body), "body": body, "params": ["name"]}
                        for path, body in bodies.items()]
            document = {"format": 1, "ns": ns, "prompt_key": key, "sections": sections, "tools": [tool]}
            documents.write(json.dumps(document) + "\n")
            hashes = {path: sha256(body if (index + n) % 10 else "") for n, (path, body) in enumerate(bodies.items())}
            record = {"version": 1, "ns": ns, "prompt_key": key, "tag": "latest",
                      "sections": {path: {"expected_hash": hashes[path], "body": "Anew: " + body}
                                   for path, body in bodies.items()},
                      "tools": {"search": {"expected_contract_hash": tool["contract_hash"],
                                           "description": "Search well.", "param_descriptions": {}}}}
            file = os.path.join(home, "overrides", ns, key, "latest.json")
            os.makedirs(os.path.dirname(file))
            with open(file, "w") as out:
                out.write(json.dumps(record, indent=2, sort_keys=True) + "\n")


def median(folder, rounds, *args):
    """Milliseconds of a command, once it has run and the files are in memory."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        subprocess.run([LOCALSTORE, "prompt", *args], cwd=folder, capture_output=True, check=False)
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times[1:])


for count, rounds, commands in [(100, 15, [["path"], ["list"], ["check"]]), (10_000, 5, [["list"], ["check"]])]:
    with tempfile.TemporaryDirectory() as folder:
        project(folder, count)
        for command in commands:
            took = median(folder, rounds, *command, "--root", folder)
            by_git = median(folder, rounds, *command)
            print(f"{count:6} records: prompt {' '.join(command):6} {took:7.1f} ms, {by_git:7.1f} ms with git")
