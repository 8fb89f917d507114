"""`keep`, as somebody runs it from a script: a vault of its own, the passphrase in the environment."""

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

KEEP = os.environ["KEEP_BIN"]
PASSPHRASE = "correct horse battery staple"
CHEAP = ["--kdf-memory-kib", "64", "--kdf-iterations", "1", "--kdf-lanes", "1"]


class Keep:
    """A vault with one key, `main`."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="keep-agents-", ignore_cleanup_errors=True)
        self.root = Path(self._directory.name)
        (self.root / "run").mkdir(mode=0o700)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "KEEP_HOME": str(self.root / "vault"),
            "KEEP_PASSWORD": PASSPHRASE,
            "KEEP_ALLOW_WEAK_KDF": "1",
            "XDG_RUNTIME_DIR": str(self.root / "run"),
            "XDG_STATE_HOME": str(self.root / "state"),
            "XDG_CONFIG_HOME": str(self.root / "config"),
        }
        self.json("init", *CHEAP)
        self.json("generate", "--name", "main")

    def __enter__(self) -> "Keep":
        return self

    def __exit__(self, *_: object) -> None:
        self.run("lock")
        self._directory.cleanup()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command."""
        return subprocess.run(
            [KEEP, "--json", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def json(self, *arguments: str) -> Any:
        """The JSON value that a command prints; it must succeed."""
        ran = self.run(*arguments)
        assert ran.returncode == 0, f"keep {arguments}: {ran.returncode}\n{ran.stderr}"
        return json.loads(ran.stdout)

    def kill(self) -> None:
        """Ends the process that holds the vault, as a crash would."""
        os.kill(self.json("status")["pid"], signal.SIGKILL)
        while self.json("status")["unlocked"]:
            time.sleep(0.05)

    def session(self, name: str, *flags: str) -> Path:
        """Makes a session; the file with its token."""
        made = self.json("agent", "create", "--name", name, *flags)
        token = Path(made["token_file"])
        assert token.stat().st_mode & 0o777 == 0o600
        return token
