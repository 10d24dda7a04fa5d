"""A tool round trip. `reply.message` goes back as it is, hidden reasoning included."""

import json

from routerd_client import Client, Message, Tool, ToolResult

WEATHER = Tool(
    name="get_weather",
    description="The weather in a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
)

with Client() as client:
    messages = [Message("user", "What is the weather in Paris?")]
    reply = client.complete("smart", messages, tools=[WEATHER], tool_choice="required")
    messages.append(reply.message)
    results = []
    for call in reply.tool_calls:
        print(f"{call.name}({json.loads(call.arguments)})")
        results.append(ToolResult(call.id, "22 C and sunny"))
    messages.append(Message("tool", results))
    reply = client.complete("smart", messages, tools=[WEATHER], tool_choice="none")
    print(reply.text)
