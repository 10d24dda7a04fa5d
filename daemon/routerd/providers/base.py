"""What a wire adapter is: pure code between one vendor's bytes and routerd's words.

Rules of this room: an adapter does no I/O, reads no clock and knows no other adapter. It encodes
a request to a path, headers and a body; it makes a decoder that turns bytes into parts; it reads
an error answer into a `Failure`. Whatever bytes come in, no exception leaves an adapter. Keys are
added as headers by `authorize`, so that nothing else of an adapter ever sees one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, Protocol, runtime_checkable

from msgspec import Struct, field

from routerd.domain import Capabilities, FinishReason, Kind, Part, Usage
from routerd.errors import Failure
from routerd.providers.same_model import are_same_model
from routerd.telemetry.plain import as_code
from routerd_proto.content import Message
from routerd_proto.frames import CallOptions

__all__ = [
    "MORE_NOTE",
    "MOST_NOTES",
    "Adapter",
    "AnswerDecoder",
    "ChatRequest",
    "EncodedRequest",
    "Headers",
    "ListedModel",
    "ListingAdapter",
    "ListsAdapter",
    "NamingAdapter",
    "Outcome",
    "RegionalAdapter",
    "Repair",
    "Signer",
    "SigningAdapter",
    "TokenAdapter",
    "Wire",
    "add_note",
    "note_other_model",
]

Headers = list[tuple[bytes, bytes]]

MOST_NOTES: Final = 32
"""Different ones of an answer, or of a request: an answer may hold a new kind in every event."""
MOST_NOTE_CHARACTERS: Final = 400
MORE_NOTE: Final = "and more, which is not noted one by one"


class ChatRequest(Struct, frozen=True):
    """What one attempt asks of one deployment.

    `model_id` is the provider's own id for it. `options` has the shortcut's defaults filled in.
    `output_limit` is the most the model can write, None where that is not known. `system_role` is
    the role of system messages where the format has more than one, `stop_parameter` the name of the
    stop sequences, `max_tokens_parameter` that of the output limit, None for the format's own.
    `reasoning_required` says that the provider misses the reasoning of earlier tool calls, be it
    empty. `reasoning_shown` asks for a summary of the reasoning where the format has one,
    `reasoning_carried` asks for the reasoning itself and sends it back on the next turn. `model` is
    what the directory calls the model, empty where that is not known. `usage_in_stream` asks for
    the usage of a stream where that has to be asked for.
    """

    model_id: str
    messages: list[Message]
    options: CallOptions
    stream: bool
    capabilities: Capabilities
    output_limit: int | None = None
    system_role: Literal["system", "developer", "user"] = "system"
    stop_parameter: str | None = None
    max_tokens_parameter: Literal["max_tokens", "max_completion_tokens"] | None = None
    reasoning_required: bool = False
    reasoning_shown: bool = True
    reasoning_carried: bool = True
    model: str = ""
    usage_in_stream: bool = True


class EncodedRequest(Struct, frozen=True):
    """A request ready to send: `path` is joined to the provider's base address.

    `notes` says, for the record, what was left out or changed because the model cannot take it.
    `max_output_tokens` is the bound that was really sent, None if none was. `keeps_long`: what is
    written to the cache is for the longer lifetime, where the answer does not tell. `beyond_hold`
    are the plain names of parameters that can cost more than is held for the call. `raw_headers`
    are those of a caller's own parameters that this wire has in a header, by their plain names.
    `wire` reads the answer, None where that is the adapter: an answer may come in another shape by
    what was asked for.
    """

    path: str
    headers: Headers
    body: bytes
    notes: list[str] = []
    max_output_tokens: int | None = None
    keeps_long: bool = False
    beyond_hold: tuple[str, ...] = ()
    raw_headers: Mapping[str, bytes] = {}
    wire: Wire | None = None


class Repair(Struct, frozen=True):
    """A request that was refused, changed as the refusal says; `note` tells the record how."""

    request: ChatRequest
    note: str


class Outcome(Struct):
    """What an answer amounts to, filled in by its decoder.

    `complete` is True only after the vendor's own end marker, or a whole plain answer. `failure` is
    an error that came inside a 200. `usage` is None where the provider did not report any.
    `early_usage` is what it reported before the answer: its input is right, its output is not yet.
    `queries` is what it bills by the piece, None where it says nothing of that. `took_ms` is the
    time that it says it took, in milliseconds. `tells_lifetimes`: of what was written to its cache
    it says for how long. `terms` are the tier, speed and place that it says it was served with, by
    the names and in the words of `terms`, as they came.
    """

    finish: FinishReason | None = None
    usage: Usage | None = None
    model: str | None = None
    response_id: str | None = None
    complete: bool = False
    failure: Failure | None = None
    malformed_events: int = 0
    notes: list[str] = field(default_factory=list)
    early_usage: Usage | None = None
    fingerprint: str | None = None
    queries: int | None = None
    took_ms: int | None = None
    tells_lifetimes: bool = False
    terms: dict[str, Any] = {}


def add_note(notes: list[str], note: str) -> None:
    """Append a note that is not there yet; behind MOST_NOTES of them, once, that there are more.

    It takes the same time however many were added before.
    """
    if len(notes) > MOST_NOTES:
        return
    note = note[:MOST_NOTE_CHARACTERS]
    if note not in notes:
        notes.append(note if len(notes) < MOST_NOTES else MORE_NOTE)


def note_other_model(outcome: Outcome, asked: str, known: str = "") -> None:
    """Note on the outcome that another model answered than the one asked for.

    `known` is what the directory calls the model, since the provider's id may be a name of the
    user's. What looks like no id is not quoted.
    """
    if outcome.model is None or not asked or are_same_model(outcome.model, asked, known):
        return
    named = as_code(outcome.model) or "with no readable id"
    note = f"another model answered: {named}, asked for was {asked}"
    if note not in outcome.notes:
        outcome.notes.append(note)


class AnswerDecoder(Protocol):
    """Turn the bytes of one answer into parts."""

    outcome: Outcome

    def feed(self, data: bytes) -> list[Part]:
        """Return the parts that `data` completes, in order."""
        ...

    def end(self) -> list[Part]:
        """Take the end of the body; what is still whole comes out, and `outcome` is final."""
        ...


class ListedModel(Struct, frozen=True):
    """A model as the provider's own list names it.

    `retires_at` is a date or a time of ISO 8601. `retired` says that it is gone, `is_legacy` that
    it will be. `kind` is what calls it is for, None where the list does not say.
    """

    id: str
    context_window: int | None = None
    retires_at: str | None = None
    retired: bool = False
    kind: Kind | None = None
    is_legacy: bool = False


class Wire(Protocol):
    """What reads the answer to one request."""

    def decoder(self, *, stream: bool) -> AnswerDecoder:
        """Return a fresh decoder for one answer with status 200."""
        ...

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        ...


class Adapter(Wire, Protocol):
    """One vendor's wire format.

    A GET of `models_path` lists the provider's models, at a `ListingAdapter` below another address;
    of `warm_path` it costs nothing, and as little as can be comes back.
    """

    name: str
    models_path: str
    warm_path: str

    def authorize(self, key: str | None) -> Headers:
        """Return the headers every request to this provider carries, the key among them."""
        ...

    def encode(self, request: ChatRequest) -> EncodedRequest:
        """Write a chat request; CallRefused where leaving something out changes its meaning."""
        ...

    def repair(self, request: ChatRequest, failure: Failure) -> Repair | None:
        """Return what to send in place of a refused request; None where it stays refused.

        Nothing that the caller said or that must hold for the answer is ever changed.
        """
        ...

    def needs_results(self, request: ChatRequest) -> bool:
        """Return whether a conversation is refused in which a tool call has no result.

        Asked only where one has none.
        """
        ...

    def list_models(self, body: bytes) -> list[ListedModel]:
        """Read the answer of `models_path`; an empty list where it makes no sense."""
        ...


class Signer(Protocol):
    """Sign requests at the moment they are sent. It holds a secret."""

    @property
    def secrets(self) -> Headers:
        """Return what must never be quoted, with names that say so."""
        ...

    def sign(
        self, method: str, host: str, path: str, headers: Headers, body: bytes, seconds: float
    ) -> Headers:
        """Return the headers that sign a request; `path` is as sent, `seconds` since the epoch."""
        ...


@runtime_checkable
class SigningAdapter(Protocol):
    """A wire format with keys that are never sent, only signed with."""

    def signer(self, key: str | None, region: str | None = None) -> Signer | None:
        """Return what signs each request; None where the key goes along in `authorize`.

        `region` is for addresses that name none.
        """
        ...

    def key_in(self, environ: Mapping[str, str]) -> str | None:
        """Return the key that the vendor's own variables hold together; None without one."""
        ...


@runtime_checkable
class TokenAdapter(Protocol):
    """A wire format whose vendor takes access tokens, and has files of credentials for them.

    `takes_tokens` says so of this adapter: not every service of a vendor does.
    """

    takes_tokens: bool

    def credentials_file(self, environ: Mapping[str, str]) -> str | None:
        """Return the file that the vendor's own variable names; None where it names none."""
        ...


@runtime_checkable
class RegionalAdapter(Protocol):
    """A wire format whose vendor has an address for each region."""

    def region_in(self, environ: Mapping[str, str]) -> str | None:
        """Return the region that the vendor's own variables name; None where they name none."""
        ...

    def own_address(self, base_url: str, environ: Mapping[str, str]) -> str | None:
        """Return the address that serves where nobody chose one; None if that region cannot be."""
        ...

    def address_in(self, base_url: str, region: str | None) -> str:
        """Return the base address that serves a region."""
        ...


@runtime_checkable
class ListingAdapter(Protocol):
    """A wire format whose list of models may be elsewhere than what answers calls."""

    def list_address(self, base_url: str) -> str:
        """Return the base address that `models_path` is below."""
        ...


@runtime_checkable
class ListsAdapter(Protocol):
    """A wire format whose vendor has its models in several lists, and in others in each region.

    A GET of each of `models_paths` is one.
    """

    models_paths: tuple[str, ...]

    def join_lists(self, bodies: Iterable[bytes]) -> list[ListedModel]:
        """Read the answers of all `models_paths`, of one or more regions, as one list."""
        ...


@runtime_checkable
class NamingAdapter(Protocol):
    """A wire format whose paths are made of the names of models, so that not any will do."""

    def wrong_name(self, model_id: str) -> str | None:
        """Return what was expected in place of a name that no model has; None for any other."""
        ...
