"""Sign with Keep from Python.

The key stays in the vault, behind the daemon. What a session may do is judged there; nothing in this process can widen it.

    from keep_agent import AgentSession, RateLimit, SessionScope

    session = AgentSession(scope=SessionScope.nostr_only(), rate_limit=RateLimit.conservative(), duration_hours=24)
    session.sign_event(kind=1, content="hello")
"""

from .aio import AsyncAgentSession
from .errors import (
    ApprovalError,
    CallerError,
    KeepBug,
    KeepError,
    PeerError,
    PolicyError,
    StorageError,
    error_codes,
)
from .scope import RateLimit, SessionScope
from .session import AgentSession
from .views import Address, Analysis, Check, Event, Identity, SessionInfo, SignedMessage, SignedPsbt

__all__ = [
    "Address",
    "AgentSession",
    "Analysis",
    "ApprovalError",
    "AsyncAgentSession",
    "CallerError",
    "Check",
    "Event",
    "Identity",
    "KeepBug",
    "KeepError",
    "PeerError",
    "PolicyError",
    "RateLimit",
    "SessionInfo",
    "SessionScope",
    "SignedMessage",
    "SignedPsbt",
    "StorageError",
    "error_codes",
]
