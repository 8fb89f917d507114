"""Tools for Pydantic AI."""

from __future__ import annotations

from typing import Any

from pydantic_ai import Tool

from .session import AgentSession
from .tools import functions


def create_keep_tools(session: AgentSession | None = None) -> list[Tool[Any]]:
    """Every tool."""
    return [Tool(function, takes_ctx=False) for function in functions(session or AgentSession())]
