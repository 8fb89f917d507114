"""The same for asyncio: each call runs in a thread, and waits for the vault there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from .session import AgentSession
from .views import Check, Event, Identity, SessionInfo

P = ParamSpec("P")
R = TypeVar("R")


class AsyncAgentSession:
    """As :class:`AgentSession`, with methods to be awaited. Made with :meth:`open`."""

    def __init__(self, session: AgentSession) -> None:
        self._session = session

    @classmethod
    async def open(cls, *arguments: Any, **named: Any) -> AsyncAgentSession:
        """Takes what :class:`AgentSession` takes."""
        return cls(await asyncio.to_thread(AgentSession, *arguments, **named))

    async def _run(self, method: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        return await asyncio.to_thread(method, *arguments, **named)

    async def get_session_info(self) -> SessionInfo:
        """See :meth:`AgentSession.get_session_info`."""
        return await self._run(self._session.get_session_info)

    async def check_operation(self, operation: str, kind: int | None = None) -> Check:
        """See :meth:`AgentSession.check_operation`."""
        return await self._run(self._session.check_operation, operation, kind)

    async def record_request(self) -> SessionInfo:
        """See :meth:`AgentSession.record_request`."""
        return await self._run(self._session.record_request)

    async def get_public_key(self) -> Identity:
        """See :meth:`AgentSession.get_public_key`."""
        return await self._run(self._session.get_public_key)

    async def sign_event(
        self,
        kind: int,
        content: str = "",
        tags: Sequence[Sequence[str]] = (),
        created_at: int | None = None,
    ) -> Event:
        """See :meth:`AgentSession.sign_event`."""
        return await self._run(self._session.sign_event, kind, content, tags, created_at)

    async def encrypt(self, peer: str, plaintext: str) -> str:
        """See :meth:`AgentSession.encrypt`."""
        return await self._run(self._session.encrypt, peer, plaintext)

    async def decrypt(self, peer: str, ciphertext: str) -> str:
        """See :meth:`AgentSession.decrypt`."""
        return await self._run(self._session.decrypt, peer, ciphertext)

    async def sign_psbt(
        self, psbt: str, network: str = "mainnet", account: int = 0, finalize: bool = False
    ) -> dict[str, Any]:
        """See :meth:`AgentSession.sign_psbt`."""
        return await self._run(self._session.sign_psbt, psbt, network, account, finalize)

    async def close(self) -> None:
        """See :meth:`AgentSession.close`."""
        await self._run(self._session.close)

    async def __aenter__(self) -> AsyncAgentSession:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
