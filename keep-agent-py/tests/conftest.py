"""A vault with a key, and the daemon that holds it: the real ones."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

KEEP = os.environ.get("KEEP_BIN", "keep")
CHEAP = ["--kdf-memory-kib", "64", "--kdf-iterations", "1", "--kdf-lanes", "1"]


class Vault:
    """What its owner does with it on the command line."""

    def __init__(self) -> None:
        self._names = itertools.count()

    def run(self, *arguments: str) -> Any:
        ran = subprocess.run(
            [KEEP, "--json", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
        )
        assert ran.returncode == 0, (arguments, ran.stderr)
        return json.loads(ran.stdout)

    def session(self, *flags: str, name: str | None = None) -> str:
        """Makes a session; its token."""
        made = self.run("agent", "create", "--name", name or f"bot-{next(self._names)}", *flags)
        return Path(made["token_file"]).read_text().strip()

    def kill(self) -> None:
        """Ends the process that holds the vault, if there is one, as a crash would."""
        pid = self.run("status")["pid"]
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        while self.run("status")["unlocked"]:
            time.sleep(0.05)

    def waiting(self) -> dict[str, Any]:
        """The request that waits for the owner."""
        for _ in range(300):
            listed = self.run("pending")
            pending: list[dict[str, Any]] = listed["pending"] if isinstance(listed, dict) else listed
            if pending:
                return pending[0]
            time.sleep(0.1)
        raise AssertionError("nothing waits")


@pytest.fixture(scope="session")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    root = tmp_path_factory.mktemp("keep")
    (root / "run").mkdir(mode=0o700)
    settings = {
        "HOME": str(root),
        "KEEP_BIN": KEEP,
        "KEEP_HOME": str(root / "vault"),
        "KEEP_PASSWORD": "correct horse battery staple",
        "KEEP_ALLOW_WEAK_KDF": "1",
        "XDG_RUNTIME_DIR": str(root / "run"),
        "XDG_STATE_HOME": str(root / "state"),
        "XDG_CONFIG_HOME": str(root / "config"),
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        environment.delenv("KEEP_SESSION", raising=False)
        environment.delenv("KEEP_BUNKER", raising=False)
        made = Vault()
        made.run("init", *CHEAP)
        made.run("generate", "--name", "main")
        yield made
        subprocess.run([KEEP, "lock"], capture_output=True, timeout=60)


@pytest.fixture
def token(vault: Vault) -> str:
    """Of a session that signs notes."""
    return vault.session("--scope", "nostr", "--kinds", "1")
