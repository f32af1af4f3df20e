#!/usr/bin/env python3
"""What `serve` costs, beside nginx and LiteLLM.

    python3 benches/gateway.py [LOCALSTORE] [--litellm PROGRAM] [--seconds N]

A stub (nginx with a fixed answer) is asked directly, through nginx with `proxy_pass` and kept connections,
through `serve` with a key, rows and metrics, and through LiteLLM where its program is named or in PATH; by
turns, in three rounds, of which the medians count. Needs nginx and wrk. Streams come from a server in Python:
the time to the first event, and the memory of 200 streams whose readers read nothing.
"""

import argparse
import asyncio
import http.client
import json
import os
import re
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROUNDS = 3
STREAMS = 200

parser = argparse.ArgumentParser()
parser.add_argument("localstore", nargs="?", default=os.path.join(ROOT, "target/release/localstore"))
parser.add_argument("--litellm", default=shutil.which("litellm"))
parser.add_argument("--seconds", type=int, default=4)
options = parser.parse_args()

ANSWER = json.dumps({
    "id": "x", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
})
REQUEST = json.dumps({
    "model": "m", "max_tokens": 16,
    "messages": [{"role": "user", "content": "Say hello to the reader of this benchmark, please. " * 4}],
})

NGINX = """
daemon off; worker_processes 1; pid {home}/{name}.pid; error_log {home}/{name}.log;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000000; client_body_temp_path {home}/b; proxy_temp_path {home}/p;
    fastcgi_temp_path {home}/f; scgi_temp_path {home}/s; uwsgi_temp_path {home}/u;
    upstream stub {{ server 127.0.0.1:{stub}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ {location} }}
    }}
}}
"""
STUB = "default_type application/json; return 200 '%s';" % ANSWER
PROXY = "proxy_pass http://stub; proxy_http_version 1.1; proxy_set_header Connection '';"

STREAMER = r'''
import asyncio, sys

async def handle(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                          if line.lower().startswith(b"content-length:"))
            body = await reader.readexactly(length)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            event = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % (b"x" * 900)
            for _ in range(20_000 if b'"slow"' in body else 1):
                writer.write(b"%x\r\n%s\r\n" % (len(event), event))
                await writer.drain()
            writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
            await writer.drain()
    except Exception:
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()

asyncio.run(main())
'''


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for(port, seconds=90):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def memory(pid):
    """Resident MiB of the process and those that it started."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    with open(f"/proc/{pid}/status") as status:
        own = next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
    return own + sum(memory(int(child)) for child in children)


def wrk(port, connections, seconds, script):
    """Requests a second, the median latency in microseconds, and the requests."""
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script,
             f"http://127.0.0.1:{port}/v1/chat/completions"]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        sys.exit(text)
    number, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", text).groups()
    requests = int(re.search(r"(\d+) requests in", text).group(1))
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    return rate, float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit], requests


def first_event(port, headers):
    """The median of the milliseconds to the first event of a stream, on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = json.dumps({"model": "s", "stream": True, "messages": []})
    times = []
    for _ in range(300):
        start = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        answer.readline()
        times.append((time.perf_counter() - start) * 1000)
        answer.read()
    return statistics.median(times)


async def slow_readers(port, headers, pid):
    """Resident MiB of the process while that many streams wait for their readers."""
    body = json.dumps({"model": "s", "stream": True, "messages": [], "user": "slow"})
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n{lines}content-length: {len(body)}\r\n\r\n"
    writers = []
    for _ in range(STREAMS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write((head + body).encode())
        await reader.readuntil(b"data:")
        writers.append(writer)
    most = 0
    for _ in range(20):
        most = max(most, memory(pid))
        await asyncio.sleep(0.1)
    for writer in writers:
        writer.transport.abort()
    return most


def main():
    home = tempfile.mkdtemp()
    running = []

    def start(words, **more):
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL, **more)
        running.append(process)
        return process

    def write(name, text):
        path = os.path.join(home, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    try:
        stub, proxy, streams, router = (free_port() for _ in range(4))
        for name, port, location in [("stub", stub, STUB), ("proxy", proxy, PROXY)]:
            config = NGINX.format(home=home, name=name, port=port, stub=stub, location=location)
            nginx = start(["nginx", "-p", home, "-c", write(f"{name}.conf", config)])
        start([sys.executable, write("streams.py", STREAMER), str(streams)])
        env = {"PATH": os.environ["PATH"], "HOME": home, "LOCALSTORE_DB": os.path.join(home, "store.db")}
        for port in stub, proxy, streams:
            wait_for(port)

        def ours(*words):
            done = subprocess.run([options.localstore, *words], env=env, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            return done.stdout.strip()

        key = ours("key", "create", "bench")
        ours("model", "add", "m", "--url", f"http://127.0.0.1:{stub}/v1")
        ours("model", "add", "s", "--url", f"http://127.0.0.1:{streams}/v1")
        began = time.perf_counter()
        words = [options.localstore, "serve", "--addr", f"127.0.0.1:{router}"]
        gateway = start(words, env=env, stdout=subprocess.PIPE)
        gateway.stdout.readline()
        print(f"serve starts in {(time.perf_counter() - began) * 1000:.1f} ms, and has "
              f"{memory(gateway.pid):.1f} MiB")
        headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
        script = write("post.lua", "wrk.method = 'POST'\nwrk.body = '%s'\n" % REQUEST + "".join(
            f"wrk.headers['{name}'] = '{value}'\n" for name, value in headers.items()))
        places = {"direct": stub, "nginx": proxy, "serve": router}
        memories = {"nginx": nginx.pid, "serve": gateway.pid}
        if options.litellm:
            port = free_port()
            config = {"model_list": [{"model_name": "m", "litellm_params": {
                "model": "openai/m", "api_base": f"http://127.0.0.1:{stub}/v1", "api_key": "x"}}]}
            words = [options.litellm, "--config", write("litellm.json", json.dumps(config)), "--host", "127.0.0.1",
                     "--port", str(port), "--telemetry", "False"]
            # It starts with a key only; the same one will do.
            environment = dict(os.environ, HOME=home, LITELLM_MASTER_KEY=key, LITELLM_LOCAL_MODEL_COST_MAP="True")
            process = start(words, stdout=subprocess.DEVNULL, cwd=home, env=environment)
            wait_for(port)
            places["litellm"], memories["litellm"] = port, process.pid

        rates = {name: [] for name in places}
        medians = {name: [] for name in places}
        sent = 0
        for port in places.values():
            warmed = wrk(port, 16, 1, script)
            sent += warmed[2] if port == router else 0
        for _ in range(ROUNDS):
            for name, port in places.items():
                rate, _, many = wrk(port, 16, options.seconds, script)
                _, median, one = wrk(port, 1, options.seconds, script)
                rates[name].append(rate)
                medians[name].append(median)
                sent += many + one if name == "serve" else 0
        rates = {name: statistics.median(values) for name, values in rates.items()}
        medians = {name: statistics.median(values) for name, values in medians.items()}
        for name in places:
            pid = memories.get(name)
            room = f", {memory(pid):6.1f} MiB afterwards" if pid else ""
            print(f"{name:8} {rates[name]:8.0f} requests/s, p50 {medians[name]:7.0f} µs{room}")
        print(f"requests/s of serve: {rates['serve'] / rates['nginx']:.2f} of nginx's")
        if "litellm" in places:
            print(f"requests/s of serve: {rates['serve'] / rates['litellm']:.0f} times LiteLLM's")
        added = {name: medians[name] - medians["direct"] for name in places}
        print(f"added p50: {added['serve']:.0f} µs, {added['serve'] / added['nginx']:.1f} times nginx's")
        direct = first_event(streams, headers)
        through = first_event(router, headers)
        sent += 300
        print(f"first event of a stream: {through:.3f} ms, direct {direct:.3f} ms, added {(through - direct) * 1000:.0f} µs")
        before = memory(gateway.pid)
        most = asyncio.run(slow_readers(router, headers, gateway.pid))
        sent += STREAMS
        print(f"{STREAMS} streams whose readers wait: {most:.1f} MiB, {(most - before) * 1024 / STREAMS:.0f} KiB each")
        time.sleep(2)
        connection = http.client.HTTPConnection("127.0.0.1", router)
        connection.request("GET", "/metrics", headers=headers)
        metrics = connection.getresponse().read().decode()
        dropped = re.search(r"^router_rows_dropped_total (\d+)", metrics, re.M)
        with sqlite3.connect(env["LOCALSTORE_DB"]) as db:
            rows = db.execute("SELECT count(*) FROM localstore_gateway_requests").fetchone()[0]
        # wrk does not count those that it cuts off at the end of its time.
        print(f"rows: {rows}, requests counted: {sent}, dropped: {dropped and dropped.group(1)}")
        print(f"memory of serve at the end: {memory(gateway.pid):.1f} MiB")
        print(f"program: {os.path.getsize(options.localstore) / 1e6:.1f} MB")
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
        shutil.rmtree(home, ignore_errors=True)


main()
