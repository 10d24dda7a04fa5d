"""What a person should know of a directory on a day: what has ended, what moves, what is missing.

Rules of this file: pure; the day and what providers list are passed in. A problem needs somebody to
act, because calls fail or go elsewhere; a note is worth knowing. Nothing here decides about a call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final, Literal, Protocol

from msgspec import Struct

from routerd.models.directory import Directory
from routerd.models.price import RATES
from routerd.models.schema import DIMENSIONS, Deployment, Model

__all__ = ["CODES", "Finding", "Listed", "audit", "audit_lists"]

Severity = Literal["problem", "note"]
Code = Literal[
    "retired",
    "retiring",
    "moving",
    "moving_replacement",
    "no_backup",
    "same_provider",
    "price_gap",
    "score_gap",
    "not_listed",
]
CODES: Final[dict[Code, str]] = {
    "retired": "has ended, or the provider says so",
    "retiring": "ends within the days that were asked for",
    "moving": "an alias: what is behind it may change",
    "moving_replacement": "what replaces it is an alias, so that most policies refuse it",
    "no_backup": "nothing stands in for it, or what does cannot",
    "same_provider": "its backups are at its own provider alone",
    "price_gap": "what it costs is not known, or not all of it",
    "score_gap": "a candidate that its class must speak for",
    "not_listed": "the provider does not list it",
}

# What somebody tuned or deployed at Google, and what others publish there; what is one's own at
# Amazon, by its resource name: no list has it.
UNLISTED: Final = ("tunedModels/", "endpoints/", "publishers/", "arn:")
# The resource names of what Amazon lists by id.
LISTED_ARN: Final = re.compile(r"arn:[^/]*:(?:foundation-model|inference-profile)/")


class Finding(Struct, frozen=True):
    """One thing to know: of which model or deployment, and what to do about it."""

    severity: Severity
    code: Code
    subject: str
    text: str


class Listed(Protocol):
    """A model as its provider lists it."""

    @property
    def id(self) -> str:
        """The id that requests name."""
        ...

    @property
    def retires_at(self) -> str | None:
        """An announced end, ISO 8601."""
        ...

    @property
    def retired(self) -> bool:
        """Whether the provider says that it is gone."""
        ...

    @property
    def is_legacy(self) -> bool:
        """Whether the provider says that it will be, be it without a day."""
        ...


def audit(directory: Directory, day: date, *, days: int = 60) -> list[Finding]:
    """Return what there is to know of a directory, problems first."""
    used = _used(directory)
    found = [
        finding
        for model in directory.models.values()
        for finding in _of_model(directory, model, day, days, used.get(model.id, ()))
    ]
    return _sorted(found)


def audit_lists(
    directory: Directory, lists: Mapping[str, Sequence[Listed]], day: date, *, days: int = 60
) -> list[Finding]:
    """Return what the lists of providers say of the deployments at them."""
    used = _used(directory)
    found = []
    for deployment in directory.deployments.values():
        name = _bare(deployment.provider_model)
        is_in_lists = not (deployment.discovered or name.startswith(UNLISTED))
        if deployment.provider in lists and is_in_lists:
            item = {_bare(item.id): item for item in lists[deployment.provider]}.get(name)
            finding = _of_list(deployment, item, day, days, used.get(deployment.model, ()))
            found += [finding] if finding is not None else []
    return _sorted(found)


def _used(directory: Directory) -> dict[str, tuple[str, ...]]:
    """Return which classes and shortcuts name each model, and which models it stands in for."""
    used: dict[str, list[str]] = {}
    for model_class in directory.classes.values():
        for name in model_class.candidates:
            used.setdefault(name, []).append(f"class {model_class.name}")
    for shortcut in directory.shortcuts.values():
        for name in shortcut.candidates:
            used.setdefault(name, []).append(f"shortcut {shortcut.name}")
    return {name: tuple(users) for name, users in used.items()}


def _of_model(
    directory: Directory, model: Model, day: date, days: int, users: Sequence[str]
) -> Iterator[Finding]:
    deployments = directory.deployments_of(model.id)
    ended = model.retires_on is not None and model.retires_on <= day
    yield from _moving_replacement(directory, model, deployments)
    if ended:
        yield _ended(directory, model, day, users)
        return
    if not deployments:
        return  # nothing serves it here, so that nothing of it can fail
    if model.retires_on is not None and model.retires_on <= day + timedelta(days=days):
        after = f"{model.replacement} replaces it" if model.replacement else "nothing replaces it"
        text = f"ends on {model.retires_on}; {after}{_named_by(users)}"
        yield Finding("note", "retiring", model.id, text)
    if model.pinned == "moving":
        yield Finding("note", "moving", model.id, f"may change behind its id{_named_by(users)}")
    yield from _backups(directory, model, deployments, day)
    for deployment in deployments:
        if deployment.retires_on is not None and deployment.retires_on <= day:
            gone = all(item.retires_on and item.retires_on <= day for item in deployments)
            text = f"ended on {deployment.retires_on}{_named_by(users)}"
            severity: Severity = "problem" if gone and users else "note"
            yield Finding(severity, "retired", deployment.id, text)
        missing = _unpriced(deployment)
        if missing:
            yield Finding("note", "price_gap", deployment.id, f"not known: {', '.join(missing)}")
    gaps = [name for name in DIMENSIONS if getattr(model.scores, name) is None]
    if gaps and model.kind == "chat" and any(user.startswith("class") for user in users):
        text = f"no score in {len(gaps)} of {len(DIMENSIONS)}: {', '.join(gaps)}"
        if len(gaps) == len(DIMENSIONS):
            text = "no score at all: its class and price speak for it"
        yield Finding("note", "score_gap", model.id, text)


def _moving_replacement(
    directory: Directory, model: Model, deployments: Sequence[Deployment]
) -> Iterator[Finding]:
    """Tell where a call leads that asked for weights that hold still, and may get no others."""
    name = model.replacement
    if name is None or not deployments or model.pinned == "moving":
        return
    if directory.models[name].pinned == "moving":
        text = f"its replacement is a moving alias: {name}"
        yield Finding("problem", "moving_replacement", model.id, text)


def _ended(directory: Directory, model: Model, day: date, users: Sequence[str]) -> Finding:
    if model.replacement is None:
        text = f"ended on {model.retires_on}, and nothing replaces it"
        return Finding("problem", "retired", model.id, text + _named_by(users))
    text = f"ended on {model.retires_on}; {model.replacement} replaces it"
    after = directory.models[model.replacement]
    if after.retires_on is not None and after.retires_on <= day:
        text += f", which ended on {after.retires_on} itself"
        return Finding("problem", "retired", model.id, text + _named_by(users))
    if users:
        return Finding("problem", "retired", model.id, f"{text}: change it there{_named_by(users)}")
    return Finding("note", "retired", model.id, text)


def _backups(
    directory: Directory, model: Model, deployments: Sequence[Deployment], day: date
) -> Iterator[Finding]:
    if model.kind == "embedding" or all(item.boundary != "vendor" for item in deployments):
        return  # other vectors are no stand-in; a server of one's own stays at home
    names = [name for name in (model.backup, model.secondary_backup) if name is not None]
    own = {item.provider for item in deployments}
    if not names:
        if len(own) == 1:
            text = f"nothing stands in for it, and {own.pop()} alone serves it"
            yield Finding("note", "no_backup", model.id, text)
        return
    elsewhere = False
    for name in names:
        backup = directory.models[name]
        serving = {item.provider for item in directory.deployments_of(name)}
        elsewhere = elsewhere or bool(serving - own)
        if not serving:
            text = f"{name} stands in for it, and nothing serves that"
            yield Finding("problem", "no_backup", model.id, text)
        elif backup.retires_on is not None and backup.retires_on <= day:
            text = f"{name} stands in for it, and ended on {backup.retires_on}"
            yield Finding("problem", "no_backup", model.id, text)
    if not elsewhere:
        text = f"{' and '.join(names)}: an outage takes them too"
        yield Finding("note", "same_provider", model.id, text)


def _unpriced(deployment: Deployment) -> list[str]:
    """Return which rates of a vendor's deployment are not known and may be needed."""
    if deployment.boundary != "vendor":
        return []
    price = deployment.price
    if price is None:
        return ["any price"]
    if price.per_query is not None:
        return []
    needed = ("input", "output") if deployment.kind == "chat" else ("input",)
    missing = [name for name in needed if getattr(price, name) is None]
    tier = price.long_context
    if tier is not None:
        missing += [
            f"{name} above {tier.above:,} tokens"
            for name in RATES
            # Without a rate of its own reasoning costs what all output costs.
            if name != "reasoning"
            and getattr(price, name) is not None
            and getattr(tier, name) is None
        ]
    return missing


def _of_list(
    deployment: Deployment, item: Listed | None, day: date, days: int, users: Sequence[str]
) -> Finding | None:
    severity: Severity = "problem" if users else "note"
    known = deployment.retires_on
    if known is not None and known <= day:
        return None  # that it is not listed any more is no news
    if item is None:
        text = f"{deployment.provider} does not list {deployment.provider_model}"
        return Finding(severity, "not_listed", deployment.id, text + _named_by(users))
    if item.retired:
        text = f"{deployment.provider} says that it has been retired"
        return Finding(severity, "retired", deployment.id, text + _named_by(users))
    ends = _day(item.retires_at)
    if item.is_legacy and ends is None and known is None:
        text = f"{deployment.provider} calls it legacy and does not say when it ends"
        return Finding("note", "retiring", deployment.id, text + _named_by(users))
    if ends is None or ends == known or (known is None and ends > day + timedelta(days=days)):
        return None
    ours = f"the directory says {known}" if known is not None else "the directory does not know"
    text = f"{deployment.provider} says that it ends on {ends}; {ours}"
    return Finding("note", "retiring", deployment.id, text + _named_by(users))


def _bare(listed_id: str) -> str:
    # Google lists these, and takes an id without. Amazon lists ids, and takes names of both kinds.
    bare = listed_id.removeprefix("models/").removeprefix("publishers/google/models/")
    return LISTED_ARN.sub("", bare)


def _day(text: str | None) -> date | None:
    try:
        return datetime.fromisoformat(text).date() if text else None
    except ValueError:
        return None


def _named_by(users: Sequence[str]) -> str:
    return f" (in {', '.join(users)})" if users else ""


def _sorted(found: list[Finding]) -> list[Finding]:
    order = list(CODES)
    return sorted(found, key=lambda item: (item.severity == "note", order.index(item.code)))
