"""The official Python SDK of MCP, over streamable HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import mcp_types as types
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from keep import KEEP, Keep
from tap import run, step

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


@asynccontextmanager
async def listening(keep: Keep, *flags: str) -> AsyncIterator[tuple[str, str]]:
    """The address and the bearer token of a server."""
    process = await asyncio.create_subprocess_exec(
        KEEP, "--json", "agent", "mcp", "--http", "127.0.0.1:0", *flags,
        env=keep.environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        first = json.loads(await process.stdout.readline())
        yield first["url"], first["bearer"]
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def client(url: str, bearer: str) -> AsyncIterator[ClientSession]:
    """An initialised client."""
    headers = {"Authorization": f"Bearer {bearer}"}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        async with streamable_http_client(url, http_client=http) as (read, write):
            async with ClientSession(read, write) as session:
                await session.initialize()
                yield session


@step("a session that is revoked in the middle is over for every client")
async def _() -> None:
    with Keep() as keep:
        token = str(keep.session("bot", "--scope", "nostr"))
        async with listening(keep, "--session-file", token) as where, client(*where) as one, client(*where) as two:
            for session in (one, two):
                result = await session.call_tool("sign_event", {"kind": 1, "content": "x"})
                assert not result.is_error, result
            keep.json("agent", "revoke", "bot")
            for session in (one, two):
                for tool, arguments in [("sign_event", {"kind": 1, "content": "x"}), ("session_info", {})]:
                    result = await session.call_tool(tool, arguments)
                    assert result.is_error and "not_connected" in result.content[0].text, result


@step("clients without a session each have one of their own")
async def _() -> None:
    with Keep() as keep:
        async with listening(keep, "--key", "main") as where, client(*where) as one, client(*where) as two:
            names = [(await c.call_tool("session_info", {})).structured_content["name"] for c in (one, two)]
            assert names[0] != names[1], names
            asking = asyncio.create_task(one.call_tool("sign_event", {"kind": 1, "content": "x"}))
            while not (waiting := keep.json("pending")["pending"]):
                await asyncio.sleep(0.1)
            # What one waits for, the other does not see.
            seen = [(await c.call_tool("list_pending", {})).structured_content["pending"] for c in (one, two)]
            assert [len(some) for some in seen] == [1, 0], seen
            keep.json("deny", waiting[0]["id"])
            assert (await asking).is_error


@step("a client with the token signs")
async def _() -> None:
    with Keep() as keep:
        token = str(keep.session("bot", "--scope", "nostr"))
        async with listening(keep, "--session-file", token) as (url, bearer):
            headers = {"Authorization": f"Bearer {bearer}"}
            async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
                async with streamable_http_client(url, http_client=http) as (read, write):
                    async with ClientSession(read, write) as session:
                        await session.initialize()
                        result = await session.call_tool("sign_event", {"kind": 1, "content": "over http"})
                        assert result.structured_content["event"]["content"] == "over http", result


@step("a client without a session has no person to say yes for it")
async def _() -> None:
    async def accept(*_: object) -> types.ElicitResult:
        raise AssertionError("the client is asked, who may be anybody with the bearer token")

    with Keep() as keep:
        async with listening(keep, "--key", "main") as (url, bearer):
            headers = {"Authorization": f"Bearer {bearer}"}
            async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
                async with streamable_http_client(url, http_client=http) as (read, write):
                    async with ClientSession(read, write, elicitation_callback=accept) as session:
                        await session.initialize()
                        call = asyncio.create_task(session.call_tool("sign_event", {"kind": 0, "content": "{}"}))
                        # The owner is asked, at the vault.
                        while not (waiting := keep.json("pending")["pending"]):
                            await asyncio.sleep(0.1)
                        keep.json("deny", waiting[0]["id"])
                        result = await call
                        assert result.is_error, result
                        assert "refused_by_person" in result.content[0].text, result


@step("without the token, from a web page, or under another host nothing is answered")
async def _() -> None:
    with Keep() as keep:
        async with listening(keep, "--key", "main") as (url, bearer), httpx2.AsyncClient(timeout=30) as http:
            good = {**ACCEPT, "Authorization": f"Bearer {bearer}"}

            async def status(address: str, headers: dict[str, str]) -> int:
                return (await http.post(address, headers=headers, json=HELLO)).status_code

            assert await status(url, ACCEPT) == 401
            assert await status(url, {**good, "Authorization": f"Bearer {bearer[:-1]}"}) == 401
            assert await status(url, {**good, "Origin": "https://evil.example"}) == 403
            assert await status(url, {**good, "Host": "evil.example"}) == 403
            assert await status(url.replace("/mcp", "/"), good) == 404
            assert await status(url, good) == 200


@step("it does not listen for others than this machine")
async def _() -> None:
    with Keep() as keep:
        ran = keep.run("agent", "mcp", "--http", "0.0.0.0:0")
        assert ran.returncode == 2 and "this machine" in ran.stderr, ran


if __name__ == "__main__":
    run()
