"""Models that follow a script: they call one tool, and then say that they are done. No network."""

from __future__ import annotations

import json
from typing import Any


def langchain_model(tool: str, arguments: dict[str, Any]) -> Any:
    """For LangChain and LangGraph."""
    from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
    from langchain_core.messages import AIMessage

    class Scripted(FakeMessagesListChatModel):
        def bind_tools(self, tools: Any, **_: Any) -> Any:
            return self

    call = {"name": tool, "args": arguments, "id": "1"}
    return Scripted(responses=[AIMessage(content="", tool_calls=[call]), AIMessage(content="done")])


def openai_model(tool: str, arguments: dict[str, Any]) -> Any:
    """For the OpenAI Agents SDK."""
    from agents import Model, ModelResponse, Usage
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

    call = ResponseFunctionToolCall(
        call_id="1", name=tool, arguments=json.dumps(arguments), type="function_call"
    )
    text = ResponseOutputText(text="done", type="output_text", annotations=[])
    said = ResponseOutputMessage(id="2", content=[text], role="assistant", status="completed", type="message")
    script: list[Any] = [call, said]

    class Scripted(Model):
        async def get_response(self, *_: Any, **__: Any) -> ModelResponse:
            return ModelResponse(output=[script.pop(0)], usage=Usage(), response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("this model does not stream")

    return Scripted()


def pydantic_model(tool: str, arguments: dict[str, Any]) -> Any:
    """For Pydantic AI."""
    from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
    from pydantic_ai.models.function import AgentInfo, FunctionModel

    def script(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        part = ToolCallPart(tool, arguments) if len(messages) == 1 else TextPart("done")
        return ModelResponse(parts=[part])

    return FunctionModel(script)


def crewai_model(tool: str, arguments: dict[str, Any]) -> Any:
    """For CrewAI, in the words in which it lets models ask for tools."""
    from crewai import BaseLLM

    script = [
        f"Thought: I sign it.\nAction: {tool}\nAction Input: {json.dumps(arguments)}",
        "Thought: I now know the final answer\nFinal Answer: done",
    ]

    class Scripted(BaseLLM):  # type: ignore[misc, unused-ignore]
        def call(self, *_: Any, **__: Any) -> str:
            return script.pop(0) if script else "Final Answer: done"

        def supports_function_calling(self) -> bool:
            return False

    return Scripted(model="scripted")
