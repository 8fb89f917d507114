"""Sessions against a real vault and its daemon."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import Vault
from keep_agent import (
    AgentSession,
    ApprovalError,
    AsyncAgentSession,
    CallerError,
    KeepError,
    PolicyError,
    RateLimit,
    SessionScope,
    error_codes,
)


def code(error: pytest.ExceptionInfo[KeepError]) -> str:
    return error.value.code


def test_the_documented_lines(vault: Vault) -> None:
    session = AgentSession(
        scope=SessionScope.nostr_only(), rate_limit=RateLimit.conservative(), duration_hours=24
    )
    check = session.check_operation("sign_nostr_event")
    assert not check and check.effect == "ask"
    session.record_request()
    assert session.get_session_info().requests_remaining == 9
    assert session.get_public_key().npub.startswith("npub1")
    session.close()
    with pytest.raises(PolicyError) as error:
        session.get_session_info()
    assert code(error) == "not_connected"


def test_a_granted_session_signs(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEP_SESSION", vault.session("bot", "--scope", "nostr", "--rate", "6"))
    session = AgentSession()
    event = session.sign_event(kind=1, content="hello", tags=[["t", "x"]])
    me = session.get_public_key()
    assert event["pubkey"] == me.pubkey and event["tags"] == [["t", "x"]] and len(event["sig"]) == 128
    assert session.decrypt(me.npub, session.encrypt(me.pubkey, "secret")) == "secret"
    assert session.check_operation("sign_nostr_event", kind=1)
    with pytest.raises(PolicyError) as error:
        session.sign_event(kind=0, content="{}")
    assert code(error) == "refused_by_policy"
    session.record_request()
    session.sign_event(kind=1)
    with pytest.raises(PolicyError):
        session.sign_event(kind=1)
    assert session.get_session_info().requests_remaining == 0


def test_a_session_only_narrows(vault: Vault) -> None:
    token = vault.session("bot", "--scope", "nostr", "--kinds", "1")
    with AgentSession(SessionScope.full(), token=token) as session:
        session.sign_event(kind=1)
        with pytest.raises(PolicyError):
            session.sign_event(kind=7)
    with AgentSession(SessionScope.public_only(), token=token) as session, pytest.raises(PolicyError):
        session.sign_event(kind=1)
    # What the owner made stays.
    assert AgentSession(token=token).get_session_info().state == "active"


def test_many_threads_do_not_exceed_the_limit(vault: Vault) -> None:
    token = vault.session("bot", "--scope", "nostr", "--rate", "10")
    sessions = [AgentSession(token=token) for _ in range(4)]

    def sign(number: int) -> bool:
        try:
            sessions[number % 4].sign_event(kind=1, content=str(number))
        except PolicyError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(sign, range(40))) == 10


def test_what_is_wrong_is_said(vault: Vault) -> None:
    with pytest.raises(PolicyError) as refused:
        AgentSession(token="keep-session-" + "0" * 64)
    assert code(refused) == "not_connected"
    session = AgentSession(token=vault.session("bot", "--scope", "nostr"))
    with pytest.raises(CallerError) as wrong:
        session.encrypt("nobody", "x")
    assert code(wrong) == "invalid_key" and wrong.value.hint
    with pytest.raises(KeepError):
        session.sign_event(kind=65536)
    with pytest.raises(PolicyError):
        session.call("keys.export_nsec", pubkey="x")
    vault.run("agent", "revoke", "bot")
    with pytest.raises(PolicyError) as gone:
        session.sign_event(kind=1)
    assert code(gone) == "not_connected"


def test_codes_are_those_of_the_golden_file() -> None:
    from pathlib import Path

    golden = Path(__file__).parents[2] / "crates/keep-types/tests/golden/errors.tsv"
    lines = [line.split("\t") for line in golden.read_text().splitlines()]
    classes = error_codes()
    assert [line[0] for line in lines] == list(classes)
    for word, blame, *_ in lines:
        assert blame.lower() in classes[word].__name__.lower(), word


async def test_asyncio(vault: Vault) -> None:
    token = vault.session("bot", "--scope", "nostr")
    async with await AsyncAgentSession.open(token=token) as session:
        event = await session.sign_event(kind=1, content="later")
        assert event["content"] == "later"
        me = await session.get_public_key()
        assert await session.decrypt(me.pubkey, await session.encrypt(me.pubkey, "x")) == "x"


def test_without_a_person_nothing_is_asked_for_ever(vault: Vault) -> None:
    with AgentSession(unsafe_in_process=True) as session, pytest.raises(ApprovalError) as error:
        session.sign_event(kind=1)
    assert code(error) == "approval_unavailable"
