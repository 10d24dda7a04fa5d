"""Many calls at once from one event loop. A call whose task is cancelled stops at the provider."""

import asyncio

from routerd_client import Client


async def main() -> None:
    async with Client() as client:
        questions = [f"Give me a fact about the number {number}." for number in range(5)]
        replies = await asyncio.gather(
            *(client.acomplete("fast", question) for question in questions)
        )
        for reply in replies:
            print(f"{reply.deployment}: {len(reply.text)} characters")
        async for text in client.stream("fast", "And one about zero.").text:
            print(text, end="")
        print()


asyncio.run(main())
