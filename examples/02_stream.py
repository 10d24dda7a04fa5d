"""A stream: text as it is written. Leaving the block hangs up and stops the model."""

from routerd_client import Client

with Client() as client, client.stream("smart", "Why is the sky blue?") as stream:
    for text in stream.text:
        print(text, end="", flush=True)
    print()
    print(f"finished: {stream.reply.finish}, {stream.reply.total_seconds:.2f} s")
