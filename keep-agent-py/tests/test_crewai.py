"""CrewAI calls the tools with a model that follows a script, and the tools sign.

CrewAI and all that it requires take more than a gigabyte. `requirements-crewai.txt` is what its agents and tools need; of the
stores of its memory, which nothing here uses, only the names are there.
"""

from __future__ import annotations

import pytest
from absent import allow_absent
from keep_agent import AgentSession
from scripted import crewai_model

NOTE = {"kind": 1, "content": "hi", "tags": []}


def test_crewai(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CREWAI_DISABLE_TELEMETRY", "OTEL_SDK_DISABLED", "CREWAI_TESTING"):
        monkeypatch.setenv(name, "true")
    allow_absent("chromadb", "lancedb", "numpy")
    crewai = pytest.importorskip("crewai", reason="CrewAI is not installed")
    from keep_agent.crewai import create_keep_tools

    session = AgentSession(token=token)
    tools = create_keep_tools(session)
    by_name = {tool.name: tool for tool in tools}
    assert by_name["keep_get_public_key"].run()["npub"].startswith("npub1")
    agent = crewai.Agent(
        role="bot", goal="sign", backstory="signs", tools=tools, llm=crewai_model("keep_sign_event", NOTE)
    )
    task = crewai.Task(description="sign a note", expected_output="the outcome", agent=agent)
    result = crewai.Crew(agents=[agent], tasks=[task]).kickoff()
    assert "done" in str(result)
    assert session.get_session_info().requests == 2
