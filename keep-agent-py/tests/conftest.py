"""A vault with a key, and the daemon that holds it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

KEEP = os.environ.get("KEEP_BIN", "keep")
CHEAP = ["--kdf-memory-kib", "64", "--kdf-iterations", "1", "--kdf-lanes", "1"]


class Vault:
    def __init__(self, root: Path) -> None:
        self.home = root / "vault"

    def run(self, *arguments: str) -> Any:
        ran = subprocess.run(
            [KEEP, "--json", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == 0, (arguments, ran.stderr)
        return json.loads(ran.stdout)

    def session(self, name: str, *flags: str) -> str:
        """Makes a session; its token."""
        made = self.run("agent", "create", "--name", name, *flags)
        return Path(made["token_file"]).read_text().strip()


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    (tmp_path / "run").mkdir(mode=0o700)
    for name, value in {
        "HOME": str(tmp_path),
        "KEEP_BIN": KEEP,
        "KEEP_HOME": str(tmp_path / "vault"),
        "KEEP_PASSWORD": "correct horse battery staple",
        "KEEP_ALLOW_WEAK_KDF": "1",
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KEEP_SESSION", raising=False)
    made = Vault(tmp_path)
    made.run("init", *CHEAP)
    made.run("generate", "--name", "main")
    yield made
    subprocess.run([KEEP, "lock"], capture_output=True, timeout=60)
