"""The shortest call: ask for a job, get a whole answer."""

from routerd_client import complete

reply = complete("workhorse", "Name three uses of a Unix socket.", tenant="acme", task="drafting")
print(reply.text)
print(f"{reply.model} answered for {reply.cost_cents} cents, decision {reply.decision_id}")
