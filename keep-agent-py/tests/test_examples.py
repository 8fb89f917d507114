"""The examples run as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Vault

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("example", "framework"), [("langchain_agent.py", "langchain"), ("openai_agent.py", "agents")]
)
def test_it_signs(vault: Vault, example: str, framework: str) -> None:
    pytest.importorskip(framework)
    environment = {**os.environ, "KEEP_SESSION": vault.session("--scope", "nostr")}
    ran = subprocess.run(
        [sys.executable, EXAMPLES / example], env=environment, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    assert '"sig":' in ran.stdout and "Signed. 9 requests remain." in ran.stdout, ran.stdout
