"""What calls return."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypedDict, TypeVar


class Event(TypedDict):
    """A signed Nostr event (NIP-01)."""

    id: str
    pubkey: str
    created_at: int
    kind: int
    tags: list[list[str]]
    content: str
    sig: str


class Address(TypedDict):
    """A Bitcoin address of the user."""

    address: str
    branch: str
    index: int
    origin: str
    internal_key: str


class SignedPsbt(TypedDict):
    """A transaction with the user's signatures. Amounts are in satoshis, what leaves includes the fee."""

    psbt: str
    complete: bool
    transaction: str | None
    txid: str
    signatures: int
    leaving_sats: int | None
    fee_sats: int | None
    skipped: list[dict[str, Any]]


class SignedMessage(TypedDict):
    """A message signed in the name of an address (BIP-322)."""

    address: str
    message: str
    signature: str


#: What a transaction would do: the JSON of ``keep bitcoin analyze``.
Analysis = dict[str, Any]


@dataclass(frozen=True)
class Identity:
    """A public key."""

    npub: str
    pubkey: str


@dataclass(frozen=True)
class Check:
    """What a session can expect of an operation. True if it is allowed now without asking."""

    allowed: bool
    effect: str
    code: str | None
    reason: str | None

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True)
class SessionInfo:
    """A session, and what is left of its limits. Without a number, any number remains."""

    name: str
    id: str
    state: str
    key: str | None
    scope: str
    operations: list[str]
    kinds: list[int] | None
    recipients: list[str] | None
    relays: list[str] | None
    otherwise: str
    asks: str
    spend: dict[str, Any]
    created_at: str
    expires_at: str | None
    requests: int
    requests_remaining: int | None
    narrowed: bool
    self_made: bool


T = TypeVar("T", Identity, Check, SessionInfo)


def read(cls: type[T], value: dict[str, Any]) -> T:
    """The fields that this version knows."""
    known = _KNOWN.get(cls) or _KNOWN.setdefault(cls, tuple(field.name for field in fields(cls)))
    values: list[Any] = [value.get(name) for name in known]
    return cls(*values)


_KNOWN: dict[type, tuple[str, ...]] = {}
