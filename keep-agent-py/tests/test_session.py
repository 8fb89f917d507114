"""Sessions against a real vault and its daemon."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
from payment import STRANGER, psbt


def code(error: pytest.ExceptionInfo[KeepError]) -> str:
    return error.value.code


def test_the_documented_lines(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEP_SESSION", vault.session("--scope", "full", "--max-amount", "20000sat"))
    session = AgentSession(
        scope=SessionScope.nostr_only(), rate_limit=RateLimit.conservative(), duration_hours=24
    )
    assert session.check_operation("sign_nostr_event")
    before = session.get_session_info().requests_remaining
    session.record_request()
    after = session.get_session_info().requests_remaining
    assert before is not None and after is not None and before <= 10 and after <= 10
    event = session.sign_event(kind=1, content="…")
    me = session.get_public_key()
    assert event["content"] == "…" and event["pubkey"] == me.pubkey and len(event["sig"]) == 128
    assert session.decrypt(me.npub, session.encrypt(me.pubkey, "secret")) == "secret"
    with pytest.raises(PolicyError):
        session.sign_psbt("cHNidP8=", network="regtest")
    session.close()
    with pytest.raises(PolicyError) as error:
        session.get_session_info()
    assert code(error) == "not_connected"


def test_without_a_grant_the_owner_is_asked(vault: Vault) -> None:
    with AgentSession(SessionScope.nostr_only(), RateLimit.conservative(), 24) as session:
        assert session.get_public_key().npub.startswith("npub1")
        check = session.check_operation("sign_nostr_event")
        assert not check and check.effect == "ask"
        for answer, outcome in [("approve", None), ("deny", "refused_by_person")]:
            with ThreadPoolExecutor(1) as pool:
                signing = pool.submit(session.sign_event, 1, answer)
                waiting = vault.waiting()
                assert waiting["content"] == answer
                # Other calls of the same session do not wait for it.
                assert session.get_session_info().self_made
                vault.run(answer, waiting["id"])
                if outcome is None:
                    assert signing.result(60)["content"] == answer
                else:
                    with pytest.raises(ApprovalError) as error:
                        signing.result(60)
                    assert code(error) == outcome


def test_a_session_only_narrows(vault: Vault, token: str) -> None:
    with AgentSession(SessionScope.full(), token=token) as session:
        session.sign_event(kind=1)
        with pytest.raises(PolicyError):
            session.sign_event(kind=7)
    with AgentSession(SessionScope.public_only(), token=token) as session, pytest.raises(PolicyError):
        session.sign_event(kind=1)
    # What the owner made stays.
    assert AgentSession(token=token).get_session_info().state == "active"


def test_only_with_the_recipients(vault: Vault) -> None:
    friend, other = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "c6" * 32
    token = vault.session("--scope", "nostr", "--to", friend)
    with AgentSession(token=token) as session:
        assert session.get_session_info().recipients == [friend]
        session.encrypt(friend, "hi")
        session.sign_event(kind=1, content="to nobody")
        session.sign_event(kind=1, content="to a friend", tags=[["p", friend]])
        for tags in ([["p", other]], [["p", friend], ["p", other]], [["p"]], [["p", friend.upper()]]):
            with pytest.raises(PolicyError):
                session.sign_event(kind=1, tags=tags)
        with pytest.raises(PolicyError):
            session.encrypt("f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9", "hi")


def test_bitcoin_within_a_budget(vault: Vault) -> None:
    token = vault.session("--scope", "bitcoin", "--max-amount", "10000sat", "--budget", "15000sat/day")
    with AgentSession(token=token) as session:
        coin = session.get_bitcoin_address(network="regtest")["address"]
        change = vault.run("bitcoin", "address", "--network", "regtest", "--change")
        back = (change["addresses"][0] if "addresses" in change else change)["address"]

        def pay(sats: int, number: int, to: str = back) -> str:
            return psbt(coin, [(sats, STRANGER), (100_000 - sats - 500, to)], number=number)

        seen = session.analyze_psbt(pay(5_000, 1), network="regtest")
        assert seen["facts"]["leaving_sats"] == 5_500, seen
        signed = session.sign_psbt(pay(5_000, 1), network="regtest", finalize=True)
        assert signed["complete"] and signed["signatures"] == 1 and signed["leaving_sats"] == 5_500
        # Too much at once; what only looks like change; more than is left of the budget.
        for refused in [pay(9_600, 2), pay(1_000, 2, STRANGER), pay(9_400, 3)][:2]:
            with pytest.raises(PolicyError) as error:
                session.sign_psbt(refused, network="regtest")
            assert code(error) == "refused_by_policy"
        session.sign_psbt(pay(9_000, 3), network="regtest")
        with pytest.raises(PolicyError):
            session.sign_psbt(pay(1, 4), network="regtest")
        assert session.sign_message("hello", network="regtest")["signature"]


def test_many_threads_and_sessions_do_not_exceed_the_limit(vault: Vault) -> None:
    token = vault.session("--scope", "nostr", "--rate", "10")
    sessions = [AgentSession(token=token) for _ in range(3)]

    def sign(number: int) -> bool:
        try:
            sessions[number % 3].sign_event(kind=1, content=str(number))
        except PolicyError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(sign, range(30))) == 10


def _sign_some(token: str) -> int:
    session = AgentSession(token=token)
    done = 0
    for _ in range(6):
        try:
            session.sign_event(kind=1)
        except PolicyError:
            continue
        done += 1
    return done


def test_several_processes_share_one_limit(vault: Vault) -> None:
    token = vault.session("--scope", "nostr", "--rate", "10")
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        assert sum(pool.map(_sign_some, [token] * 3)) == 10


def test_a_fork_does_not_share_the_connection(token: str) -> None:
    session = AgentSession(token=token)
    session.sign_event(kind=1)
    context = multiprocessing.get_context("fork")
    child = context.Process(target=lambda: [session.sign_event(kind=1) for _ in range(20)])
    child.start()
    for number in range(20):
        assert session.sign_event(kind=1, content=str(number))["content"] == str(number)
    child.join(60)
    assert child.exitcode == 0
    assert session.get_session_info().requests == 41


def test_a_session_outlives_the_daemon(vault: Vault) -> None:
    token = vault.session("--scope", "nostr", "--rate", "3")
    session = AgentSession(token=token)
    session.sign_event(kind=1)
    vault.kill()
    # The next call starts another daemon, and the counters are where they were.
    session.sign_event(kind=1)
    session.sign_event(kind=1)
    with pytest.raises(PolicyError):
        session.sign_event(kind=1)


def test_a_vault_that_cannot_be_unlocked_is_locked(vault: Vault, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    vault.kill()
    monkeypatch.delenv("KEEP_PASSWORD")
    with pytest.raises(CallerError) as error:
        AgentSession(token=token)
    assert code(error) == "locked" and error.value.hint
    monkeypatch.setenv("KEEP_BIN", "/nonexistent/keep")
    with pytest.raises(CallerError) as error:
        AgentSession(token=token)
    assert code(error) == "locked" and "keep unlock" in error.value.hint


def test_what_the_owner_locked_only_the_owner_unlocks(vault: Vault, token: str) -> None:
    session = AgentSession(token=token)
    session.sign_event(kind=1)
    vault.run("lock")
    try:
        for _ in range(2):
            with pytest.raises(CallerError) as error:
                session.sign_event(kind=1)
            assert code(error) == "locked"
    finally:
        vault.run("unlock")
    session.sign_event(kind=1)


def test_what_is_wrong_is_said(vault: Vault, tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as refused:
        AgentSession(token="keep-session-" + "0" * 64)
    assert code(refused) == "not_connected"
    with pytest.raises(CallerError) as nowhere:
        AgentSession(home=tmp_path)
    assert code(nowhere) == "no_vault"
    with pytest.raises(CallerError) as nothing:
        AgentSession(session_file=tmp_path / "none")
    assert code(nothing) == "invalid_input"
    token = vault.session("--scope", "nostr", name="gone")
    session = AgentSession(token=token)
    with pytest.raises(CallerError) as wrong:
        session.encrypt("nobody", "x")
    assert code(wrong) == "invalid_key" and wrong.value.hint
    with pytest.raises(PolicyError):
        session.call("keys.export_nsec", pubkey="x")
    again = pickle.loads(pickle.dumps(wrong.value))
    assert type(again) is CallerError and again.to_dict() == wrong.value.to_dict()
    vault.run("agent", "revoke", "gone")
    with pytest.raises(PolicyError) as gone:
        session.sign_event(kind=1)
    assert code(gone) == "not_connected"


@pytest.mark.parametrize("kind", [65536, -1, 1.0, "1", True, None, [1]])
def test_kinds_are_numbers(token: str, kind: object) -> None:
    with pytest.raises(CallerError) as error:
        AgentSession(token=token).call("agent.sign_event", template={"kind": kind, "content": "", "tags": [], "created_at": 1})
    assert code(error) == "usage"


def test_large_and_nested_contents_are_content(token: str) -> None:
    session = AgentSession(token=token)
    assert len(session.sign_event(kind=1, content="x" * (1 << 20))["content"]) == 1 << 20
    with pytest.raises(PolicyError):
        session.sign_event(kind=0, content='{"kind":1}')
    assert session.sign_event(kind=1, content='"}],"kind":0,"x":[{"')["kind"] == 1


def test_codes_are_those_of_the_golden_file() -> None:
    golden = Path(__file__).parents[2] / "crates/keep-types/tests/golden/errors.tsv"
    lines = [line.split("\t") for line in golden.read_text().splitlines()]
    classes = error_codes()
    assert [line[0] for line in lines] == list(classes)
    for word, blame, *_ in lines:
        assert blame.lower() in classes[word].__name__.lower(), word


async def test_asyncio(token: str) -> None:
    async with await AsyncAgentSession.open(token=token) as session:
        event = await session.sign_event(kind=1, content="later")
        assert event["content"] == "later"
        me = await session.get_public_key()
        assert await session.decrypt(me.pubkey, await session.encrypt(me.pubkey, "x")) == "x"
        assert (await session.get_session_info()).requests == 4
        assert await session.check_operation("sign_event", 1)


def test_in_process_nobody_is_waited_for(vault: Vault) -> None:
    with AgentSession(unsafe_in_process=True) as session, pytest.raises(ApprovalError) as error:
        session.sign_event(kind=1)
    assert code(error) == "approval_unavailable"
