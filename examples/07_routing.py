"""Say what a call needs, not who serves it: how hard, how soon, how dear, and for whom."""

from routerd_client import Client

with Client() as client:
    for question in ("Hi!", "Prove that the square root of 2 is irrational."):
        reply = client.complete("auto", question, tenant="acme", session="tour-1")
        print(f"{question:50} {reply.model}")
    # The first word within two seconds, and never for more than a tenth of a cent.
    reply = client.complete("chat", "Tell me a joke.", latency=2_000, max_cost_cents=0.1)
    print(f"{reply.model}: {reply.cost_cents:.4f} of 0.1 cents, {reply.notes}")
