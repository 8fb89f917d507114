"""What a call costs beyond a bare round trip on the daemon's socket. Prints one line of JSON, in microseconds.

All ask the same daemon the same thing, in turns, from this process: ``bare`` writes and reads the frames with ``socket``, as
the shortest program without this package would; ``call`` is a method of a session; ``mcp`` is a tool of `keep agent mcp`, over
its standard input and output.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import statistics
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keep_agent import AgentSession

ROUNDS = 40
CALLS = 100
ASKED = {"operation": "sign_event", "kind": 1}
KEEP = os.environ.get("KEEP_BIN", "keep")


def keep(*arguments: str) -> Any:
    ran = subprocess.run([KEEP, "--json", *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return json.loads(ran.stdout)


def bare(token: str) -> Callable[[], object]:
    """A connection of our own to the daemon (docs/formats/daemon.md)."""
    home = os.path.realpath(os.environ["KEEP_HOME"]).encode()
    name = hashlib.sha256(b"keep daemon v1" + home).hexdigest()[:32]
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(f"{os.environ['XDG_RUNTIME_DIR']}/keep/{name}.sock")

    def ask(message: dict[str, Any]) -> Any:
        body = json.dumps(message).encode()
        connection.sendall(struct.pack(">I", len(body)) + body)
        (length,) = struct.unpack(">I", connection.recv(4, socket.MSG_WAITALL))
        return json.loads(connection.recv(length, socket.MSG_WAITALL))

    ask({"keep": 1, "token": token})
    message = {"call": "agent.check_operation", "with": ASKED}
    return lambda: ask(message)


def mcp(token: str) -> tuple[subprocess.Popen[bytes], Callable[[], object]]:
    """A server on standard input and output."""
    environment = {**os.environ, "KEEP_SESSION": token}
    server = subprocess.Popen(
        [KEEP, "agent", "mcp"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )

    def say(message: dict[str, Any]) -> None:
        assert server.stdin is not None
        server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        server.stdin.flush()

    def ask(method: str, parameters: dict[str, Any]) -> Any:
        assert server.stdout is not None
        say({"id": 1, "method": method, "params": parameters})
        return json.loads(server.stdout.readline())

    client = {"name": "bench", "version": "1"}
    ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
    say({"method": "notifications/initialized"})
    return server, lambda: ask("tools/call", {"name": "check_operation", "arguments": ASKED})


def timed(work: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(CALLS):
        begin = time.perf_counter_ns()
        work()
        times.append((time.perf_counter_ns() - begin) / 1000)
    return times


def measure() -> dict[str, float]:
    keep("init", "--kdf-memory-kib", "64", "--kdf-iterations", "1", "--kdf-lanes", "1")
    keep("generate", "--name", "main")
    keep("unlock")
    made = keep("agent", "create", "--name", "bench", "--scope", "nostr")
    token = Path(made["token_file"]).read_text().strip()
    session = AgentSession(token=token)
    server, tool = mcp(token)
    works = {"call_us": lambda: session.check_operation("sign_event", 1), "bare_us": bare(token), "mcp_us": tool}
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        timed(work)
    for _ in range(ROUNDS):
        for name, work in works.items():
            times[name] += timed(work)
    server.kill()
    server.wait()
    return {name: statistics.median(taken) for name, taken in times.items()}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="keep-bench-") as root:
        (Path(root) / "run").mkdir(mode=0o700)
        os.environ.update(
            HOME=root,
            KEEP_HOME=f"{root}/vault",
            KEEP_PASSWORD="correct horse battery staple",
            KEEP_ALLOW_WEAK_KDF="1",
            XDG_RUNTIME_DIR=f"{root}/run",
            XDG_STATE_HOME=f"{root}/state",
        )
        try:
            print(json.dumps(measure()))
        finally:
            subprocess.run([KEEP, "lock"], capture_output=True, check=False)


if __name__ == "__main__":
    main()
