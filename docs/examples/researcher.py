"""An assistant whose replies a framework makes: Pydantic AI asks the model, and calls the tool."""

import os

from handlers.chat.assistants import Assistant, Call, Delta, Turn


def population(city: str) -> int:
    """Return how many people live in a city."""
    return {"oslo": 717_710, "rome": 2_746_984}.get(city.lower(), 0)


async def reply(turn: Turn):
    """Let the framework answer, and pass on what it says and does."""
    # Here, and not at the top: three other functions load this file, and do not have the framework.
    from pydantic_ai import Agent
    from pydantic_ai import messages as said
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.run import AgentRunResultEvent

    provider = OpenAIProvider(
        base_url=os.environ["OPENAI_BASE_URL"], api_key=await turn.secret("OPENAI_API_KEY") or "none"
    )
    model = OpenAIChatModel(os.environ["OPENAI_MODEL"], provider=provider)
    agent = Agent(model, instructions=turn.instructions, tools=[population])
    history = [
        said.ModelRequest([said.UserPromptPart(message.text)])
        if message.role == "user"
        else said.ModelResponse([said.TextPart(message.text)])
        for message in turn.messages[:-1]
    ]
    calls = {}
    async with agent.run_stream_events(turn.question, message_history=history) as events:
        async for event in events:
            match event:
                case (
                    said.PartStartEvent(part=said.TextPart(content=text))
                    | said.PartDeltaEvent(delta=said.TextPartDelta(content_delta=text))
                ):
                    yield text
                case (
                    said.PartStartEvent(part=said.ThinkingPart(content=text))
                    | said.PartDeltaEvent(delta=said.ThinkingPartDelta(content_delta=text))
                ):
                    yield Delta(reasoning=text or "")
                case said.FunctionToolCallEvent(part=part):
                    calls[part.tool_call_id] = (part.tool_name, part.args_as_json_str())
                    yield Delta(call=Call(part.tool_call_id, *calls[part.tool_call_id]))
                case said.FunctionToolResultEvent(part=part):
                    name, arguments = calls[part.tool_call_id]
                    yield Delta(call=Call(part.tool_call_id, name, arguments, "done", part.model_response_str()))
                case AgentRunResultEvent(result=result):
                    turn.report(result.usage.input_tokens, result.usage.output_tokens)


assistant = Assistant(title="Researcher", instructions="Look numbers up. Never guess.")
