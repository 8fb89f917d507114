"""Each framework calls the tools with a model that follows a script, and the tools sign."""

from __future__ import annotations

import json
from typing import Any

import pytest
from keep_agent import AgentSession
from scripted import langchain_model, openai_model, pydantic_model

NOTE = {"kind": 1, "content": "hi", "tags": []}


@pytest.fixture
def session(token: str) -> AgentSession:
    return AgentSession(token=token)


def test_langchain_tool(session: AgentSession) -> None:
    pytest.importorskip("langchain_core")
    from keep_agent.langchain import KeepSignerTool, create_keep_tools

    call = {"name": "keep_sign_event", "args": {"kind": 1, "content": "hi"}, "id": "1", "type": "tool_call"}
    message = KeepSignerTool(session=session).invoke(call)
    assert json.loads(message.content)["event"]["content"] == "hi"
    tools = {tool.name: tool for tool in create_keep_tools(session)}
    refused = tools["keep_sign_event"].invoke({"kind": 0, "content": "", "tags": []})
    assert refused["error"]["code"] == "refused_by_policy"
    assert tools["keep_get_public_key"].invoke({})["npub"].startswith("npub1")


def test_langchain_agent(session: AgentSession) -> None:
    agents = pytest.importorskip("langchain.agents")
    from keep_agent.langchain import KeepSignerTool

    agent = agents.create_agent(langchain_model("keep_sign_event", NOTE), [KeepSignerTool(session=session)])
    messages = agent.invoke({"messages": [("user", "sign it")]})["messages"]
    signed = json.loads(messages[-2].content)
    assert signed["event"]["content"] == "hi" and messages[-1].content == "done"
    assert session.get_session_info().requests == 1


async def test_openai_agents(session: AgentSession) -> None:
    agents = pytest.importorskip("agents")
    from keep_agent.openai_agents import create_keep_tools

    agents.set_tracing_disabled(True)
    model = openai_model("keep_sign_event", NOTE)
    agent = agents.Agent(name="bot", model=model, tools=create_keep_tools(session))
    result = await agents.Runner.run(agent, "sign it")
    assert result.final_output == "done"
    outputs: list[Any] = [item.output for item in result.new_items if item.type == "tool_call_output_item"]
    assert outputs[0]["event"]["content"] == "hi" and session.get_session_info().requests == 1


async def test_pydantic_ai(session: AgentSession) -> None:
    pydantic_ai = pytest.importorskip("pydantic_ai")
    from keep_agent.pydantic_ai import create_keep_tools

    agent = pydantic_ai.Agent(pydantic_model("keep_sign_event", NOTE), tools=create_keep_tools(session))
    result = await agent.run("sign it")
    assert result.output == "done" and session.get_session_info().requests == 1
