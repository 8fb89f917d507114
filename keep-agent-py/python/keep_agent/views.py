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
    otherwise: str
    asks: str
    expires: int | None
    requests: int
    requests_remaining: int | None
    narrowed: bool
    self_made: bool


T = TypeVar("T", Identity, Check, SessionInfo)


def read(cls: type[T], value: dict[str, Any]) -> T:
    """The fields that this version knows."""
    return cls(**{field.name: value.get(field.name) for field in fields(cls)})
