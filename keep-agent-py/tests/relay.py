"""As much of a relay (NIP-01) as a bunker and its client need: it keeps nothing."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Filters = dict[tuple[ServerConnection, str], list[dict[str, Any]]]


def wanted(event: dict[str, Any], one: dict[str, Any]) -> bool:
    """Whether a filter lets an event through; what this relay does not know lets it through."""
    named = {tag[1] for tag in event["tags"] if len(tag) > 1 and tag[0] == "p"}
    return (
        event["kind"] in one.get("kinds", [event["kind"]])
        and event["pubkey"] in one.get("authors", [event["pubkey"]])
        and ("#p" not in one or bool(named & set(one["#p"])))
    )


class Relay:
    def __init__(self) -> None:
        self.filters: Filters = {}

    async def attend(self, client: ServerConnection) -> None:
        try:
            async for text in client:
                await self.answer(client, json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            self.filters = {key: value for key, value in self.filters.items() if key[0] is not client}

    async def answer(self, client: ServerConnection, message: list[Any]) -> None:
        match message:
            case ["REQ", str(name), *filters]:
                self.filters[(client, name)] = filters
                await client.send(json.dumps(["EOSE", name]))
            case ["CLOSE", str(name)]:
                self.filters.pop((client, name), None)
            case ["EVENT", dict(event)]:
                await client.send(json.dumps(["OK", event["id"], True, ""]))
                for (other, name), filters in list(self.filters.items()):
                    if any(wanted(event, one) for one in filters):
                        await other.send(json.dumps(["EVENT", name, event]))


@contextmanager
def relay() -> Iterator[str]:
    """A relay on this machine; its address."""
    started: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with serve(Relay().attend, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            started.put_nowait(f"ws://127.0.0.1:{port}")
            await asyncio.Event().wait()

    task = loop.create_task(run())
    thread = threading.Thread(target=lambda: loop.run_until_complete(_quietly(task)), daemon=True)
    thread.start()
    yield asyncio.run_coroutine_threadsafe(started.get(), loop).result(30)
    loop.call_soon_threadsafe(task.cancel)
    thread.join(30)


async def _quietly(task: asyncio.Task[None]) -> None:
    try:
        await task
    except asyncio.CancelledError:
        pass
