"""An answer in a shape of your own."""

from msgspec import Struct

from routerd_client import complete


class Ticket(Struct):
    subject: str
    urgent: bool


SCHEMA = {
    "type": "object",
    "properties": {"subject": {"type": "string"}, "urgent": {"type": "boolean"}},
    "required": ["subject", "urgent"],
    "additionalProperties": False,
}

reply = complete("extract", "The printer is on fire!", output_schema=SCHEMA, task="triage")
ticket = reply.parsed(Ticket)
print(f"urgent: {ticket.urgent}, subject: {ticket.subject}")
