"""A LangChain agent that signs a note. The model follows a script, so that it runs without a network.

    export KEEP_SESSION=$(cat "$(keep --json agent create --name bot --scope nostr | jq -r .token_file)")
    python langchain_agent.py

In a program of yours the model is a real one; nothing else changes.
"""

from __future__ import annotations

import json
from typing import Any

from keep_agent import AgentSession, RateLimit, SessionScope
from keep_agent.langchain import KeepSignerTool
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage


class ScriptedModel(FakeMessagesListChatModel):
    """Asks for one signature, and is done."""

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


def main() -> None:
    # It may only sign notes, and not many, whatever the owner granted beyond that.
    session = AgentSession(SessionScope.nostr_only(kinds=[1]), RateLimit.conservative(), duration_hours=1)
    call = {"name": "keep_sign_event", "args": {"kind": 1, "content": "Hello from LangChain"}, "id": "1"}
    model = ScriptedModel(responses=[AIMessage(content="", tool_calls=[call]), AIMessage(content="Signed.")])
    agent = create_agent(model, [KeepSignerTool(session=session)])
    messages = agent.invoke({"messages": [HumanMessage("Sign a note that says hello")]})["messages"]
    print(json.dumps(json.loads(messages[-2].content), indent=2))
    print(messages[-1].content, f"{session.get_session_info().requests_remaining} requests remain.")
    session.close()


if __name__ == "__main__":
    main()
