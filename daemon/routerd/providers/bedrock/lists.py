"""The lists of models of Bedrock's control plane, read as one.

Rules of this file: pure. A model is called by its own id where it is served on demand, and by the
id of an inference profile otherwise, which ends with the model behind it. Source: the service model
of 2023-04-20, `ListFoundationModels` and `ListInferenceProfiles`; of the types of inference it
leaves out the `INFERENCE_PROFILE` of answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec.structs import replace

from routerd.providers.base import ListedModel
from routerd.providers.json_text import JSON_ERRORS, read_json, text_of

__all__ = ["LISTS", "join_lists"]

# Of profiles a thousand are the most that one answer holds; of models it holds all.
LISTS: Final = ("/foundation-models", "/inference-profiles?maxResults=1000")
ON_DEMAND: Final = "ON_DEMAND"
LEGACY: Final = "LEGACY"


def join_lists(bodies: Iterable[bytes]) -> list[ListedModel]:
    """Return what can be called, by the lists of one or more regions; empty without any."""
    answers = [_object(body) for body in bodies]
    models = [entry for answer in answers for entry in _entries(answer, "modelSummaries")]
    known: dict[str, ListedModel] = {}
    listed: dict[str, ListedModel] = {}
    for entry in models:
        if (name := text_of(entry.get("modelId"))) is not None:
            known[name] = _listed(name, entry.get("modelLifecycle"))
            if _is_on_demand(entry.get("inferenceTypesSupported")):
                listed[name] = known[name]
    for answer in answers:
        for entry in _entries(answer, "inferenceProfileSummaries"):
            if (name := text_of(entry.get("inferenceProfileId"))) is not None:
                listed.setdefault(name, _profile(name, entry, known))
    return list(listed.values())


def _listed(name: str, lifecycle: Any) -> ListedModel:
    if not isinstance(lifecycle, dict):
        return ListedModel(name)
    return ListedModel(
        name,
        retires_at=text_of(lifecycle.get("endOfLifeTime")),
        is_legacy=lifecycle.get("status") == LEGACY,
    )


def _profile(name: str, entry: dict[str, Any], known: dict[str, ListedModel]) -> ListedModel:
    """Return a profile as the models behind it are, one model in several regions."""
    arns = [text_of(model.get("modelArn")) or "" for model in _entries(entry, "models")]
    behind = [known[bare] for arn in arns if (bare := arn.rpartition("/")[2]) in known]
    return replace(behind[0], id=name) if behind else ListedModel(name)


def _is_on_demand(types: Any) -> bool:
    """Say whether the bare id can be called: a profile's model, or a provisioned one, cannot."""
    return not isinstance(types, list) or ON_DEMAND in types


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = read_json(body)
    except JSON_ERRORS:
        return {}
    return value if isinstance(value, dict) else {}


def _entries(value: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = value.get(name)
    return [item for item in entries if isinstance(item, dict)] if isinstance(entries, list) else []
