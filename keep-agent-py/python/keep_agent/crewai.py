"""Tools for CrewAI."""

from __future__ import annotations

from typing import Any

from crewai.tools import tool

from .session import AgentSession
from .tools import functions


def create_keep_tools(session: AgentSession | None = None) -> list[Any]:
    """Every tool."""
    return [tool(function.__name__)(function) for function in functions(session or AgentSession())]
