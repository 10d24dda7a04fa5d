"""Bedrock's Converse and ConverseStream, as AWS itself speaks them.

Sans-I/O. What a request may hold and what is refused follows the service's model, without the rules
of single models. A signature is looked for and not checked: the simulator knows nobody's secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from routerd.simulate.bedrock.errors import fault_refusal, invalid
from routerd.simulate.bedrock.frames import exception_frame, with_half_the_payload
from routerd.simulate.bedrock.reply import stream_frames, whole_body
from routerd.simulate.bedrock.request import read_question
from routerd.simulate.exchange import Asked, Frame, Question, Refusal, Reply
from routerd.simulate.script import Fault
from routerd.simulate.vendor import RequestNames, Route, Vendor

__all__ = ["Bedrock"]


PROFILE = re.compile(r"(?:global|us|us-gov|eu|jp|au|apac)\.(?P<bare>.+)")


class Bedrock(Vendor):
    """Converse, streamed and not."""

    name = "bedrock"
    routes = (
        Route("POST", re.compile(r"/model/(?P<model>.+)/converse(?P<stream>-stream)?"), "call"),
        Route("GET", re.compile(r"/(?P<list>foundation-models|inference-profiles)"), "models"),
    )
    listed_models = ("amazon.nova-pro-v1:0", "us.anthropic.claude-opus-5-5")
    stream_headers = {"content-type": "application/vnd.amazon.eventstream"}  # noqa: RUF012

    def authenticate(self, asked: Asked) -> None:
        """Refuse a request with neither a bearer key nor a signature."""
        scheme = asked.headers.get("authorization", "").partition(" ")[0].lower()
        if scheme == "bearer":
            return
        if scheme != "aws4-hmac-sha256" or "x-amz-date" not in asked.headers:
            raise Refusal(
                403, "MissingAuthenticationTokenException", "Missing Authentication Token"
            )

    def question(self, asked: Asked) -> Question:
        """Read a Converse request."""
        return read_question(asked)

    def answer_headers(self, names: RequestNames, question: Question | None) -> dict[str, str]:
        """Return the request id; the vendor tells no rate limits."""
        del question
        return {"x-amzn-requestid": names.id[:32]}

    def whole(self, reply: Reply) -> bytes:
        """Write the answer of Converse."""
        return whole_body(reply)

    def frames(self, reply: Reply) -> Iterator[Frame]:
        """Write the events from `messageStart` to `metadata`."""
        return stream_frames(reply)

    def refusal_headers(self, refusal: Refusal, names: RequestNames) -> dict[str, str]:
        """Return the type of an error; the vendor never says how long to wait."""
        kind = f"{refusal.kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"
        return {**self.answer_headers(names, None), "x-amzn-errortype": kind}

    def fault(self, fault: Fault, model: str | None) -> Refusal:
        """Choose the real error for a scripted code, or for a status alone."""
        del model
        return fault_refusal(fault)

    def error_frame(self, refusal: Refusal) -> bytes:
        """Write an exception."""
        return exception_frame(refusal.kind, {"message": refusal.message})

    def error_in_body(self, refusal: Refusal, names: RequestNames) -> bytes:
        """Write the message."""
        del names
        return msgspec.json.encode({"message": refusal.message})

    def broken_frame(self, frame: bytes) -> bytes:
        """Halve what the frame holds, and seal it again."""
        return with_half_the_payload(frame)

    def models(self, models: Sequence[str], asked: Asked) -> bytes:
        """Write the list of models, or that of inference profiles: each has what the other lacks.

        What is behind a profile is listed as a model that cannot be called by its own id.
        """
        if asked.fields["list"] == "inference-profiles":
            return msgspec.json.encode(
                {"inferenceProfileSummaries": [profile(name) for name in models if bare(name)]}
            )
        behind = {name: "INFERENCE_PROFILE" for model in models if (name := bare(model))}
        served = behind | {name: "ON_DEMAND" for name in models if not bare(name)}
        entries = [
            {**self.listed(name), "inferenceTypesSupported": [kind]}
            for name, kind in served.items()
        ]
        return msgspec.json.encode({"modelSummaries": entries})

    def listed(self, model: str) -> dict[str, Any]:
        """Return an entry of the list of models."""
        arn = f"arn:aws:bedrock:us-east-1::foundation-model/{model}"
        return {"modelArn": arn, "modelId": model, "modelLifecycle": {"status": "ACTIVE"}}

    def unknown_model(self, model: str) -> Refusal:
        """Say that the identifier is invalid."""
        del model
        return invalid("The provided model identifier is invalid.")

    def unknown_path(self, method: str, path: str) -> Refusal:
        """Say that there is no such operation."""
        del method, path
        return Refusal(404, "UnknownOperationException", "")

    def bad_schema(self) -> Refusal:
        """Say `ValidationException`."""
        return invalid("toolSpec.inputSchema: JSON schema is invalid")

    def too_large(self) -> Refusal:
        """Say `ValidationException`."""
        return Refusal(413, "RequestEntityTooLargeException", "Request body is too large")


def bare(name: str) -> str | None:
    """Return the model behind an inference profile; None of what is none."""
    match = PROFILE.fullmatch(name)
    return match["bare"] if match else None


def profile(name: str) -> dict[str, Any]:
    """Return an entry of the list of inference profiles."""
    return {
        "inferenceProfileName": name,
        "inferenceProfileArn": f"arn:aws:bedrock:us-east-1:1:inference-profile/{name}",
        "inferenceProfileId": name,
        "models": [{"modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{bare(name)}"}],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }
