"""The same session at a bunker, over a relay."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CHEAP, KEEP
from keep_agent import AgentSession, CallerError, KeepError, SessionScope

pytest.importorskip("websockets")
from relay import relay


@pytest.fixture(scope="module")
def bunker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a bunker on another machine, as far as this one can tell."""
    root: Path = tmp_path_factory.mktemp("elsewhere")
    (root / "run").mkdir(mode=0o700)
    environment = {
        **os.environ,
        "HOME": str(root),
        "KEEP_HOME": str(root / "vault"),
        "KEEP_PASSWORD": "another passphrase",
        "KEEP_ALLOW_WEAK_KDF": "1",
        "XDG_RUNTIME_DIR": str(root / "run"),
        "XDG_STATE_HOME": str(root / "state"),
        "XDG_CONFIG_HOME": str(root / "config"),
    }
    for arguments in (["init", *CHEAP], ["generate", "--name", "far"]):
        subprocess.run([KEEP, *arguments], env=environment, check=True, capture_output=True, timeout=120)
    with relay() as address:
        serving = subprocess.Popen(
            [KEEP, "--json", "serve", "--headless", "--relay", address],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert serving.stdout is not None
        try:
            yield json.loads(serving.stdout.readline())["bunker_url"]
        finally:
            serving.terminate()
            serving.wait(60)


def test_a_bunker_signs_within_its_limits(
    bunker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("KEEP_SESSION", raising=False)
    session = AgentSession(bunker=bunker)
    me = session.get_public_key()
    event = session.sign_event(kind=1, content="from afar")
    assert event["pubkey"] == me.pubkey and event["content"] == "from afar"
    assert session.encrypt(me.npub, "x")
    # The bunker's policy asks about profiles, and nobody is there.
    with pytest.raises(KeepError) as refused:
        session.sign_event(kind=0, content="{}")
    assert refused.value.code == "approval_unavailable"
    with pytest.raises(CallerError) as none:
        session.get_session_info()
    assert none.value.code == "unsupported_method"
    # The secret in the URL is taken once; afterwards the bunker knows this machine.
    monkeypatch.setenv("KEEP_BUNKER", bunker)
    assert AgentSession().sign_event(kind=1)["pubkey"] == me.pubkey
    kept = list((tmp_path / "keep" / "bunkers").iterdir())
    assert len(kept) == 1 and kept[0].stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    with pytest.raises(KeepError) as spent:
        AgentSession()
    assert spent.value.code == "invalid_secret"


def test_ctrl_c_ends_waiting_for_a_bunker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    nobody = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"bunker://{nobody}?relay=ws://127.0.0.1:{silent.getsockname()[1]}"
        begun = time.monotonic()
        # Where tests run in the background, Python was told to ignore it.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
            with pytest.raises(KeyboardInterrupt):
                AgentSession(bunker=url)
        finally:
            signal.signal(signal.SIGINT, before)
    # It would be waited for twice as long.
    assert time.monotonic() - begun < 15


def test_limits_are_not_pretended(bunker: str) -> None:
    with pytest.raises(CallerError) as error:
        AgentSession(SessionScope.nostr_only(), bunker=bunker)
    assert error.value.code == "usage"
    with pytest.raises(CallerError) as wrong:
        AgentSession(bunker="bunker://nobody")
    assert wrong.value.code == "invalid_uri"
