from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from routerd.errors import SettingsError
from routerd.models import Directory, LongContextPrice, load_directory

PACKAGED = load_directory()


def own_file(folder: Path, text: str, name: str = "own.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def load_text(folder: Path, text: str) -> Directory:
    return load_directory([own_file(folder, text)])


def refused(folder: Path, text: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_text(folder, text)
    return caught.value


NEW_MODEL = """
[models.gpt-x]
vendor = "me"
model_class = "fast"
pinned = "moving"
source = "my own notes"
"""


def test_an_own_file_adds_to_every_section(tmp_path: Path) -> None:
    directory = load_text(
        tmp_path,
        NEW_MODEL
        + """
retires_on = 2030-01-31
[providers.box]
adapter = "openai"
dialect = "compatible"
base_url = "http://box.lan:9000/v1"
boundary = "own-network"
[deployments."box/x"]
model = "gpt-x"
provider = "box"
provider_model = "x"
context_window = 5_000
[classes.tiny]
description = "Mine."
candidates = ["gpt-x"]
degraded = "fast"
[shortcuts.mine]
description = "Mine."
class = "tiny"
""",
    )
    resolution = directory.resolve("mine")
    assert [item.id for item in resolution.candidates] == ["box/x"]
    assert [step.model_class for step in resolution.degraded] == ["fast", "open-weight"]
    deployment = directory.deployments["box/x"]
    assert deployment.boundary == "own-network"
    assert deployment.context_window == 5_000
    assert deployment.price is None
    assert deployment.retires_on == dt.date(2030, 1, 31)
    assert directory.models.keys() > PACKAGED.models.keys()


def test_a_later_file_overrides_an_earlier_one(tmp_path: Path) -> None:
    first = own_file(tmp_path, '[shortcuts.smart]\ndescription = "One."\n', "1.toml")
    second = own_file(tmp_path, '[shortcuts.smart]\ndescription = "Two."\n', "2.toml")
    assert load_directory([first, second]).shortcuts["smart"].description == "Two."
    assert load_directory([second, first]).shortcuts["smart"].description == "One."


CHANGES: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "context_window": ("models", st.integers(1, 10**7)),
    "backup": ("models", st.sampled_from(["gpt-6-luna", "claude-haiku-5-5"])),
    "pinned": ("models", st.sampled_from(["dated", "vendor", "moving"])),
    "vendor": ("models", st.text("abc", min_size=1)),
    "provider_model": ("deployments", st.text("abc", min_size=1)),
    "region": ("deployments", st.text("abc")),
    "base_url": ("providers", st.sampled_from(["http://a/v1", "https://b.example"])),
    "description": ("shortcuts", st.text("abc")),
}


@st.composite
def overrides(draw: st.DrawFn) -> dict[str, dict[str, dict[str, Any]]]:
    tables: dict[str, dict[str, dict[str, Any]]] = {}
    for field in draw(st.sets(st.sampled_from(sorted(CHANGES)), min_size=1)):
        section, values = CHANGES[field]
        names = sorted(getattr(PACKAGED, section))
        if field == "backup":
            names = [name for name in names if name.startswith(("gpt-5", "claude-opus"))]
        for name in draw(st.sets(st.sampled_from(names), min_size=1, max_size=2)):
            tables.setdefault(section, {}).setdefault(name, {})[field] = draw(values)
    return tables


@given(tables=overrides())
def test_an_override_changes_what_it_names_and_nothing_else(
    tables: dict[str, dict[str, dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = [
        f"[{section}.{msgspec.json.encode(name).decode()}]\n"
        + "\n".join(f"{field} = {msgspec.json.encode(v).decode()}" for field, v in fields.items())
        for section, entries in tables.items()
        for name, fields in entries.items()
    ]
    directory = load_text(tmp_path_factory.mktemp("own"), "\n".join(lines))
    for section in ("providers", "models", "classes", "shortcuts", "deployments"):
        before, after = getattr(PACKAGED, section), getattr(directory, section)
        assert list(before) == list(after)
        for name in before:
            expected = asdict(before[name]) | tables.get(section, {}).get(name, {})
            if section == "deployments":
                # It takes its limits over from the model, unless it has its own.
                model = after[name].model
                changed = tables.get("models", {}).get(model, {})
                taken_over = {"pinned"}
                if before[name].context_window == PACKAGED.models[model].context_window:
                    taken_over.add("context_window")
                expected |= {k: v for k, v in changed.items() if k in taken_over}
            assert asdict(after[name]) == expected


def test_one_rate_can_be_overridden_and_the_source_says_so(tmp_path: Path) -> None:
    before = PACKAGED.deployments["openai/gpt-6-luna"].price
    directory = load_text(tmp_path, '[deployments."openai/gpt-6-luna".price]\ninput = 90_000_000\n')
    price = directory.deployments["openai/gpt-6-luna"].price
    assert before is not None
    assert price is not None
    assert price.input == 90_000_000
    assert price.output == before.output
    assert price.long_context == before.long_context
    assert price.source == f"own.toml, over {before.source}"


def test_a_rate_of_the_long_tier_can_be_overridden(tmp_path: Path) -> None:
    before = PACKAGED.deployments["openai/gpt-6-luna"].price
    directory = load_text(
        tmp_path,
        '[deployments."openai/gpt-6-luna".price]\nsource = "my contract"\n'
        "long_context = { output = 800_000_000 }\n",
    )
    price = directory.deployments["openai/gpt-6-luna"].price
    assert before is not None
    assert before.long_context is not None
    assert price is not None
    assert price.source == "my contract"
    assert price.long_context == msgspec.structs.replace(before.long_context, output=800_000_000)


CHANGING = """
[deployments."openai/gpt-6-luna".price]
source = "a list"
per_query = 10_000_000
per_hour = 2_000_000_000
[deployments."openai/gpt-6-luna".price.long_context]
above = 100_000
[[deployments."openai/gpt-6-luna".price.changes]]
since = 2027-01-01
input = 90_000_000
output = 450_000_000
per_query = 5_000_000
[deployments."openai/gpt-6-luna".price.changes.long_context]
above = 272_000
input = 180_000_000
[[deployments."openai/gpt-6-luna".price.changes]]
since = 2027-02-01
input = 80_000_000
"""


def test_a_price_of_a_file_may_change_on_a_day(tmp_path: Path) -> None:
    price = load_text(tmp_path, CHANGING).deployments["openai/gpt-6-luna"].price
    before = PACKAGED.deployments["openai/gpt-6-luna"].price
    assert price is not None
    assert before is not None
    assert (price.input, price.per_query, price.per_hour) == (
        before.input,
        10_000_000,
        2_000_000_000,
    )
    january = price.at(dt.date(2027, 1, 31))
    assert (january.input, january.per_query, january.per_hour) == (90_000_000, 5_000_000, None)
    assert january.long_context == LongContextPrice(above=272_000, input=180_000_000)
    assert price.at(dt.date(2027, 2, 1)).input == 80_000_000


def test_a_later_rate_takes_announced_changes_away(tmp_path: Path) -> None:
    first = own_file(tmp_path, CHANGING, "1.toml")
    place = '[deployments."openai/gpt-6-luna".price]\n'
    rate = own_file(tmp_path, f"{place}input = 95_000_000\n", "2.toml")
    price = load_directory([first, rate]).deployments["openai/gpt-6-luna"].price
    assert price is not None
    assert price.changes == ()
    assert price.at(dt.date(2027, 3, 1)).input == 95_000_000


@pytest.mark.parametrize("line", ["discount_ppm = 50_000", 'source = "my contract"'])
def test_what_is_no_rate_leaves_announced_changes_alone(tmp_path: Path, line: str) -> None:
    first = own_file(tmp_path, CHANGING, "1.toml")
    place = '[deployments."openai/gpt-6-luna".price]\n'
    second = own_file(tmp_path, f"{place}{line}\n", "2.toml")
    price = load_directory([first, second]).deployments["openai/gpt-6-luna"].price
    assert price is not None
    assert len(price.changes) == 2


def test_a_discount_may_grow_a_hundredfold(tmp_path: Path) -> None:
    place = '[deployments."openai/gpt-6-luna".price]\n'
    files = [
        own_file(tmp_path, f"{place}discount_ppm = {ppm}\n", f"{ppm}.toml") for ppm in (10, 5_000)
    ]
    price = load_directory(files).deployments["openai/gpt-6-luna"].price
    assert price is not None
    assert price.discount_ppm == 5_000


def test_a_score_is_one_fact_and_replaced_whole(tmp_path: Path) -> None:
    name = "claude-haiku-4-5-20251001"
    before = PACKAGED.models[name].scores
    whole = (
        f"[models.{name}.scores]\n"
        'math = { value = 1, benchmark = "mine", version = "1", confidence = 1,'
        ' method = "direct" }\n'
    )
    scores = load_text(tmp_path, whole).models[name].scores
    assert scores.math is not None
    assert (scores.math.value, scores.math.benchmark) == (1, "mine")
    assert scores.coding == before.coding
    partly = refused(tmp_path, f"[models.{name}.scores]\nmath = {{ value = 1 }}\n")
    assert partly.key == f"models.{name}.scores.math"
    assert "benchmark" in partly.expected


def test_a_shortcut_changes_from_a_class_to_candidates_and_back(tmp_path: Path) -> None:
    listed = load_text(tmp_path, '[shortcuts.fast]\ncandidates = ["gpt-6-luna"]\n')
    assert [item.model for item in listed.resolve("fast").candidates] == ["gpt-6-luna"]
    assert listed.shortcuts["fast"].description == PACKAGED.shortcuts["fast"].description
    by_class = load_text(tmp_path, '[shortcuts.workhorse]\nclass = "fast"\n')
    assert by_class.shortcuts["workhorse"].candidates == ()
    assert by_class.resolve("workhorse").candidates == PACKAGED.resolve("fast").candidates


def test_a_mistake_is_charged_to_the_file_that_made_it(tmp_path: Path) -> None:
    wrong = own_file(tmp_path, "[models.gpt-6-luna]\ncontext_window = 0\n", "wrong.toml")
    right = own_file(tmp_path, '[models.gpt-6-luna]\nvendor = "me"\n', "right.toml")
    with pytest.raises(SettingsError) as caught:
        load_directory([wrong, right])
    assert caught.value.file == str(wrong)
    assert caught.value.key == "models.gpt-6-luna.context_window"


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"[models", "is not TOML"), (b"\xff\xfe", "cannot be read"), (None, "no such file")],
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "own.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=expected) as caught:
        load_directory([path])
    assert caught.value.file == str(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_directory([tmp_path])


def test_two_packaged_files_may_not_say_the_same(tmp_path: Path) -> None:
    own_file(tmp_path, '[providers.x]\nadapter = "openai"\n', "1.toml")
    own_file(tmp_path, '[providers.x]\nboundary = "vendor"\n', "2.toml")
    with pytest.raises(SettingsError, match="is already in another file") as caught:
        load_directory(data=tmp_path)
    assert caught.value.file.endswith("2.toml")


def test_loading_twice_gives_the_same(tmp_path: Path) -> None:
    empty = load_text(tmp_path, "")
    assert empty.models == PACKAGED.models
    assert empty.deployments == PACKAGED.deployments
    assert empty.shortcuts == PACKAGED.shortcuts
