"""Tools for LangChain and LangGraph."""

from __future__ import annotations

from typing import Any

from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, ConfigDict, Field

from .session import AgentSession
from .tools import functions, sign_event


class SignEventInput(BaseModel):
    """An event to be signed."""

    kind: int = Field(description="The kind of the event, for example 1 for a note")
    content: str = Field(description="The content")
    tags: list[list[str]] = Field(default_factory=list, description="The tags")


class KeepSignerTool(BaseTool):
    """Signs Nostr events within the limits of a session."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str = "keep_sign_event"
    description: str = "Signs a Nostr event in the user's name and returns it. Nothing is published."
    args_schema: Any = SignEventInput
    session: AgentSession = Field(default_factory=AgentSession, exclude=True)

    def _run(self, kind: int, content: str, tags: list[list[str]] | None = None) -> dict[str, Any]:
        return sign_event(self.session, kind, content, tags)


def create_keep_tools(session: AgentSession | None = None) -> list[BaseTool]:
    """Every tool."""
    return [StructuredTool.from_function(function) for function in functions(session or AgentSession())]
