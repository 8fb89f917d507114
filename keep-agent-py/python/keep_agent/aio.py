"""The same for asyncio: each call waits for the vault in a thread."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import ParamSpec, TypeVar

from .scope import RateLimit, SessionScope
from .session import AgentSession
from .views import Address, Analysis, Check, Event, Identity, SessionInfo, SignedMessage, SignedPsbt

P = ParamSpec("P")
R = TypeVar("R")


class AsyncAgentSession:
    """As :class:`AgentSession`, with methods to be awaited. Made with :meth:`open`, or of a session that is there."""

    def __init__(self, session: AgentSession) -> None:
        self._session = session

    @classmethod
    async def open(
        cls,
        scope: SessionScope | None = None,
        rate_limit: RateLimit | None = None,
        duration_hours: float | None = None,
        *,
        token: str | None = None,
        session_file: str | os.PathLike[str] | None = None,
        key: str | None = None,
        home: str | os.PathLike[str] | None = None,
        bunker: str | None = None,
        unsafe_in_process: bool = False,
    ) -> AsyncAgentSession:
        """Takes what :class:`AgentSession` takes."""
        session = await asyncio.to_thread(
            AgentSession,
            scope,
            rate_limit,
            duration_hours,
            token=token,
            session_file=session_file,
            key=key,
            home=home,
            bunker=bunker,
            unsafe_in_process=unsafe_in_process,
        )
        return cls(session)

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

    async def get_bitcoin_address(self, network: str = "mainnet", account: int = 0) -> Address:
        """See :meth:`AgentSession.get_bitcoin_address`."""
        return await self._run(self._session.get_bitcoin_address, network, account)

    async def analyze_psbt(self, psbt: str, network: str = "mainnet", account: int = 0) -> Analysis:
        """See :meth:`AgentSession.analyze_psbt`."""
        return await self._run(self._session.analyze_psbt, psbt, network, account)

    async def sign_psbt(
        self, psbt: str, network: str = "mainnet", account: int = 0, finalize: bool = False
    ) -> SignedPsbt:
        """See :meth:`AgentSession.sign_psbt`."""
        return await self._run(self._session.sign_psbt, psbt, network, account, finalize)

    async def sign_message(
        self, message: str, address: str | None = None, network: str = "mainnet", account: int = 0
    ) -> SignedMessage:
        """See :meth:`AgentSession.sign_message`."""
        return await self._run(self._session.sign_message, message, address, network, account)

    async def close(self) -> None:
        """See :meth:`AgentSession.close`."""
        await self._run(self._session.close)

    async def __aenter__(self) -> AsyncAgentSession:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
