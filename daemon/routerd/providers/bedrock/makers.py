"""What the models of each maker take through Converse, as declared data.

Rules of this file: the maker and the line stand in the model's id, behind the prefix of an
inference profile and inside of an ARN; the first entry that fits counts. An id that names nobody
(a provisioned or imported model, a profile of one's own) is taken to be able to do everything: the
provider says what it is not. Sources: the service model of 2023-09-30, Amazon's user guides for
Bedrock and Nova, and recorded answers.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from msgspec import Struct

from routerd.providers.bedrock.apart import Apart
from routerd_proto.content import CacheLifetime

__all__ = ["Habits", "habits_of"]

BOTH: Final[tuple[CacheLifetime, ...]] = ("5m", "1h")
SHORT: Final[tuple[CacheLifetime, ...]] = ("5m",)


class Habits(Struct, frozen=True, kw_only=True):
    """How a maker's models are asked.

    `lifetimes` are those of cache marks, none where they are refused. `effort` is how reasoning is
    asked for. `has_schemas` says that answers are bound to a JSON schema by `outputConfig`, and the
    arguments of strict tools likewise; else a tool with that schema stands in. `signs` says that
    reasoning carries a signature, without which it does not go back. `apart` is what they refuse
    beside tool calls and results, None where nothing is known of that.
    """

    lifetimes: tuple[CacheLifetime, ...] = ()
    effort: Literal["thinking", "nova", "open_weight", "unknown"] = "unknown"
    has_schemas: bool = True
    signs: bool | None = False
    apart: Apart | None = None


CLAUDE: Final = Habits(lifetimes=BOTH, effort="thinking", signs=True, apart="documents")
UNNAMED: Final = Habits(lifetimes=BOTH, signs=None)
OTHERS: Final = Habits()
KNOWN: Final = (
    (re.compile(r"anthropic\.|claude"), CLAUDE),
    (
        re.compile(r"amazon\.nova-[2-9]"),
        Habits(lifetimes=SHORT, effort="nova", has_schemas=False),
    ),
    (re.compile(r"amazon\.nova"), Habits(lifetimes=SHORT, has_schemas=False)),
    (re.compile(r"amazon\."), Habits(has_schemas=False)),
    (re.compile(r"openai\.gpt-oss"), Habits(effort="open_weight")),
    (re.compile(r"\b(?:meta|mistral|writer)\."), Habits(apart="all")),
)
# A profile's geography, then the maker: `us.meta.llama4-scout-17b-instruct-v1:0`.
MAKER: Final = re.compile(r"(?:(?:global|[a-z]{2,4}(?:-gov)?)\.)?[a-z][a-z0-9-]*\.[a-z]")


def habits_of(model_id: str) -> Habits:
    """Return how a model is asked."""
    name = model_id.rpartition("/")[2]
    for pattern, habits in KNOWN:
        if pattern.search(name):
            return habits
    return OTHERS if MAKER.match(name) else UNNAMED
