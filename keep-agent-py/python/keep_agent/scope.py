"""What a session may do, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class RateLimit:
    """How often a session may be used. Windows are those of the clock; without a number, as often as the owner allows."""

    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None
    uses: int | None = None

    @classmethod
    def conservative(cls) -> RateLimit:
        """Ten requests a minute, a hundred an hour, five hundred a day."""
        return cls(per_minute=10, per_hour=100, per_day=500)

    @classmethod
    def unlimited(cls) -> RateLimit:
        """As often as the owner allows."""
        return cls()


@dataclass(frozen=True)
class SessionScope:
    """What a session is for. It can only narrow what the owner granted."""

    preset: str = "public"
    kinds: tuple[int, ...] | None = None
    operations: tuple[str, ...] | None = None
    recipients: tuple[str, ...] | None = None
    ask: bool = False
    spend: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def public_only(cls) -> SessionScope:
        """The public key, and nothing else."""
        return cls("public")

    @classmethod
    def nostr_only(
        cls, kinds: Sequence[int] | None = None, *, recipients: Sequence[str] | None = None
    ) -> SessionScope:
        """The public key, signing events of common kinds (or of ``kinds``), encrypting and decrypting.

        With ``recipients`` (npub or hexadecimal) only with these people, and events name no others.
        """
        return cls("nostr", _tuple(kinds), recipients=_tuple(recipients))

    @classmethod
    def bitcoin_only(
        cls, *, max_sats: int | None = None, sats_per_day: int | None = None, pay_to: Sequence[str] = ()
    ) -> SessionScope:
        """Bitcoin addresses, transactions within these limits (fees included), and messages."""
        spend: dict[str, Any] = {"allow": list(pay_to)}
        if max_sats is not None:
            spend["per_transaction_sats"] = max_sats
        if sats_per_day is not None:
            spend["budgets"] = [{"sats": sats_per_day, "window_secs": 86_400}]
        return cls("bitcoin", spend=spend)

    @classmethod
    def full(cls) -> SessionScope:
        """Everything that the owner granted."""
        return cls("full")

    def asking(self) -> SessionScope:
        """The same, with a person asked about the rest, instead of refusing it."""
        return replace(self, ask=True)

    def to_json(self, rate: RateLimit, duration_secs: int) -> dict[str, Any]:
        """As the daemon takes it."""
        return {
            "preset": self.preset,
            "operations": self.operations,
            "kinds": self.kinds,
            "recipients": self.recipients,
            "exceeding": "ask" if self.ask else "refuse",
            "rates": {
                "per_minute": rate.per_minute,
                "per_hour": rate.per_hour,
                "per_day": rate.per_day,
                "uses": rate.uses,
            },
            "spend": self.spend,
            "duration_secs": duration_secs,
        }


def _tuple(values: Sequence[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)
