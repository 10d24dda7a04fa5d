"""What a deployment calls its model, checked at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from routerd.app.startup import Startup, prepare
from routerd.errors import SettingsError

DEPLOYMENT = """\
[deployments."{provider}/mine"]
model = "gemini-3.8-flash"
provider = "{provider}"
provider_model = "{name}"
"""


def started(folder: Path, provider: str, name: str) -> Startup:
    file, mine = folder / "routerd.toml", folder / "mine.toml"
    mine.write_text(DEPLOYMENT.format(provider=provider, name=name), encoding="utf-8")
    source = 'token_metadata = "google"\n' if provider == "vertex" else ""
    text = f'directory = ["mine.toml"]\n[providers.{provider}]\n{source}'
    file.write_text(text, encoding="utf-8")
    keys = {"GEMINI_API_KEY": "k", "OPENAI_API_KEY": "k", "GOOGLE_CLOUD_PROJECT": "p"}
    return prepare(file, {"PATH": "/usr/bin:/bin", **keys})


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("gemini", "models/gemini-3.8-flash"),
        ("gemini", "tunedModels/mine"),
        ("vertex", "publishers/google/models/gemini-3.8-flash"),
        ("vertex", "endpoints/123"),
        ("openai", "projects/any/thing/goes"),
    ],
)
def test_a_name_that_a_model_can_have_starts(tmp_path: Path, provider: str, name: str) -> None:
    directory = started(tmp_path, provider, name).directory
    assert directory.deployments[f"{provider}/mine"].provider_model == name


@pytest.mark.parametrize(
    ("provider", "name", "expected"),
    [
        ("gemini", "endpoints/123", "tunedModels/ID"),
        ("vertex", "tunedModels/mine", "endpoints/ID"),
        ("vertex", "projects/p/locations/l/endpoints/123", "those of base_url"),
    ],
)
def test_a_name_that_no_model_can_have_is_a_mistake_in_the_directory(
    tmp_path: Path, provider: str, name: str, expected: str
) -> None:
    with pytest.raises(SettingsError) as mistake:
        started(tmp_path, provider, name)
    assert mistake.value.key == f'deployments."{provider}/mine".provider_model'
    assert expected in mistake.value.expected
    assert name in mistake.value.expected
