"""Each framework calls the tool with a model that follows a script, and the tool signs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Vault
from keep_agent import AgentSession


@pytest.fixture
def session(vault: Vault) -> AgentSession:
    return AgentSession(token=vault.session("bot", "--scope", "nostr", "--kinds", "1"))


def test_langchain(session: AgentSession) -> None:
    pytest.importorskip("langchain_core")
    from keep_agent.langchain import KeepSignerTool, create_keep_tools

    call = {"name": "keep_sign_event", "args": {"kind": 1, "content": "hi"}, "id": "1", "type": "tool_call"}
    message = KeepSignerTool(session=session).invoke(call)
    assert json.loads(message.content)["event"]["content"] == "hi"
    tools = {tool.name: tool for tool in create_keep_tools(session)}
    refused = tools["keep_sign_event"].invoke({"kind": 0, "content": "", "tags": []})
    assert refused["error"]["code"] == "refused_by_policy"
    assert tools["keep_get_public_key"].invoke({})["npub"].startswith("npub1")


async def test_openai_agents(session: AgentSession) -> None:
    agents = pytest.importorskip("agents")
    from agents import Agent, Model, ModelResponse, Runner, Usage
    from keep_agent.openai_agents import create_keep_tools
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

    agents.set_tracing_disabled(True)
    seen: list[Any] = []

    class Scripted(Model):
        async def get_response(self, system_instructions: Any, input: Any, *rest: Any, **named: Any) -> ModelResponse:
            seen.append(input)
            if len(seen) == 1:
                arguments = json.dumps({"kind": 1, "content": "hi", "tags": []})
                call = ResponseFunctionToolCall(
                    call_id="1", name="keep_sign_event", arguments=arguments, type="function_call"
                )
                return ModelResponse(output=[call], usage=Usage(), response_id=None)
            text = ResponseOutputText(text="done", type="output_text", annotations=[])
            said = ResponseOutputMessage(
                id="2", content=[text], role="assistant", status="completed", type="message"
            )
            return ModelResponse(output=[said], usage=Usage(), response_id=None)

        def stream_response(self, *arguments: Any, **named: Any) -> Any:
            raise NotImplementedError

    agent = Agent(name="bot", model=Scripted(), tools=list(create_keep_tools(session)))
    result = await Runner.run(agent, "sign it")
    assert result.final_output == "done"
    assert "sig" in str(seen[1]) and session.get_session_info().requests == 1


async def test_pydantic_ai(session: AgentSession) -> None:
    pytest.importorskip("pydantic_ai")
    from keep_agent.pydantic_ai import create_keep_tools
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
    from pydantic_ai.models.function import AgentInfo, FunctionModel

    def script(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if len(messages) == 1:
            arguments = {"kind": 1, "content": "hi", "tags": []}
            return ModelResponse(parts=[ToolCallPart("keep_sign_event", arguments)])
        return ModelResponse(parts=[TextPart("done")])

    agent = Agent(FunctionModel(script), tools=create_keep_tools(session))
    result = await agent.run("sign it")
    assert result.output == "done" and session.get_session_info().requests == 1


def test_crewai(session: AgentSession) -> None:
    pytest.importorskip("crewai", reason="crewai is large; installed with KEEP_TEST_HEAVY=1")
    from keep_agent.crewai import create_keep_tools

    tools = {tool.name: tool for tool in create_keep_tools(session)}
    signed = tools["keep_sign_event"].run(kind=1, content="hi", tags=[])
    assert signed["event"]["content"] == "hi"
