"""An agent of the OpenAI Agents SDK that signs a note. The model follows a script, so that it runs without a network.

    export KEEP_SESSION=$(cat "$(keep --json agent create --name bot --scope nostr | jq -r .token_file)")
    python openai_agent.py

In a program of yours the model is a real one; nothing else changes.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from agents import Agent, Model, ModelResponse, Runner, Usage, set_tracing_disabled
from keep_agent import AgentSession, RateLimit, SessionScope
from keep_agent.openai_agents import create_keep_tools
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText


class ScriptedModel(Model):
    """Asks for one signature, and is done."""

    def __init__(self) -> None:
        note = json.dumps({"kind": 1, "content": "Hello from the Agents SDK", "tags": []})
        call = ResponseFunctionToolCall(
            call_id="1", name="keep_sign_event", arguments=note, type="function_call"
        )
        text = ResponseOutputText(text="Signed.", type="output_text", annotations=[])
        said = ResponseOutputMessage(
            id="2", content=[text], role="assistant", status="completed", type="message"
        )
        self.script: list[Any] = [call, said]

    async def get_response(self, *_: Any, **__: Any) -> ModelResponse:
        return ModelResponse(output=[self.script.pop(0)], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("this model does not stream")


async def main() -> None:
    set_tracing_disabled(True)
    session = AgentSession(SessionScope.nostr_only(kinds=[1]), RateLimit.conservative(), duration_hours=1)
    agent = Agent(name="scribe", model=ScriptedModel(), tools=create_keep_tools(session))
    result = await Runner.run(agent, "Sign a note that says hello")
    for item in result.new_items:
        if item.type == "tool_call_output_item":
            print(json.dumps(item.output, indent=2))
    print(result.final_output, f"{session.get_session_info().requests_remaining} requests remain.")
    session.close()


if __name__ == "__main__":
    asyncio.run(main())
