"""Tools for the OpenAI Agents SDK."""

from __future__ import annotations

from agents import Tool, function_tool

from .session import AgentSession
from .tools import functions


def create_keep_tools(session: AgentSession | None = None) -> list[Tool]:
    """Every tool."""
    return [function_tool(function) for function in functions(session or AgentSession())]
