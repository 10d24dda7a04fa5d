"""Every mistake in a file of one's own, and how it is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from routerd.errors import SettingsError
from routerd.models import load_directory

NEW_MODEL = """
[models.gpt-x]
vendor = "me"
model_class = "fast"
pinned = "moving"
source = "my own notes"
"""
COMPLEX = "[shortcuts.x]\ndescription = 'x'\nby_complexity = { "

MISTAKES = {
    "an unknown key": (
        NEW_MODEL + "contxt_window = 1",
        "models.gpt-x.contxt_window",
        "unknown key; known here: vendor, .*context_window",
    ),
    "an unknown key of a dotted name": (
        '[models."gpt-6.1-sol"]\ncontxt_window = 1',
        'models."gpt-6.1-sol".contxt_window',
        "unknown key",
    ),
    "an unknown key further in": (
        '[deployments."openai/gpt-6-luna".price.long_context]\nabvoe = 1',
        'deployments."openai/gpt-6-luna".price.long_context.abvoe',
        "unknown key; known here: .*above",
    ),
    "an unknown key in a list": (
        '[[deployments."openai/gpt-6-luna".price.changes]]\nsince = 2027-01-01\nprompt = 1',
        'deployments."openai/gpt-6-luna".price.changes[0].prompt',
        "unknown key; known here: .*since",
    ),
    "an unknown capability": (
        NEW_MODEL + "capabilities = { visoin = true }",
        "models.gpt-x.capabilities.visoin",
        "unknown key; known here: vision",
    ),
    "an unknown dimension": (
        NEW_MODEL + "scores = { charm = 1 }",
        "models.gpt-x.scores.charm",
        "unknown key; known here: reasoning",
    ),
    "an unknown section": ("[model.x]\n", "model", "unknown section; known: providers"),
    "a section that is no table": ("models = 1", "models", "expected a table"),
    "an entry that is no table": ("[models]\nx = 1", "models.x", "expected a table"),
    "a name inside": (NEW_MODEL + 'id = "y"', "models.gpt-x.id", "own name"),
    "a missing key": ('[models.x]\nvendor = "me"', "models.x", "missing required field"),
    "a wrong type": (
        NEW_MODEL + 'context_window = "long"',
        "models.gpt-x.context_window",
        "Expected `int",
    ),
    "a yes that is no boolean": (
        NEW_MODEL + "capabilities = { vision = 1 }",
        "models.gpt-x.capabilities.vision",
        "Expected `bool`",
    ),
    "a window of nothing": (
        NEW_MODEL + "context_window = 0",
        "models.gpt-x.context_window",
        ">= 1",
    ),
    "a date that is text": (
        NEW_MODEL + 'retires_on = "soon"',
        "models.gpt-x.retires_on",
        "date",
    ),
    "a choice that is none": (
        '[models.gpt-6-luna]\npinned = "yes"',
        "models.gpt-6-luna.pinned",
        "Invalid enum value 'yes'; expected one of dated, vendor, moving",
    ),
    "a boundary that is none": (
        '[shortcuts.smart]\nboundary = "moon"',
        "shortcuts.smart.boundary",
        "expected one of machine, own-network, vendor",
    ),
    "a price in dollars": (
        '[deployments."mistral/mistral-large-4-0"]\nprice = { source = "me", input = 2 }',
        'deployments."mistral/mistral-large-4-0".price',
        "`input` is 2; expected nanodollars per million tokens",
    ),
    "a price in millionths of a dollar": (
        '[deployments."openai/gpt-6-astra".price]\noutput = 50_000_000',
        'deployments."openai/gpt-6-astra".price.output',
        "50000000 instead of 50000000000: a hundredfold apart",
    ),
    "a price of a query in dollars": (
        '[deployments."openai/gpt-6-astra".price]\nper_query = 1',
        'deployments."openai/gpt-6-astra".price',
        "`per_query` is 1; expected nanodollars per query",
    ),
    "a price of an hour in cents": (
        '[deployments."openai/gpt-6-astra".price]\nper_hour = 250',
        'deployments."openai/gpt-6-astra".price',
        "`per_hour` is 250; expected nanodollars per hour",
    ),
    "a later price in another unit": (
        '[[deployments."openai/gpt-6-astra".price.changes]]\nsince = 2027-01-01\ninput = 10',
        'deployments."openai/gpt-6-astra".price.changes[0]',
        "`input` is 10; expected nanodollars per million tokens",
    ),
    "a later price a hundredfold from the one before": (
        'deployments."openai/gpt-6-astra".price.changes = [{since=2027-01-01,output=5_000_000}]',
        'deployments."openai/gpt-6-astra".price',
        "`changes` has output = 5000000 after 50000000000: a hundredfold apart",
    ),
    "a later price without a day": (
        '[[deployments."openai/gpt-6-astra".price.changes]]\ninput = 10_000_000_000',
        'deployments."openai/gpt-6-astra".price.changes[0]',
        "missing required field `since`",
    ),
    "a discount of everything": (
        '[deployments."openai/gpt-6-astra".price]\ndiscount_ppm = 1_000_000',
        'deployments."openai/gpt-6-astra".price.discount_ppm',
        "Expected `int` <= 999999",
    ),
    "a price without a source": (
        '[deployments."mistral/mistral-large-4-0"]\nprice = { input = 1_000_000_000 }',
        'deployments."mistral/mistral-large-4-0".price',
        "missing required field `source`",
    ),
    "a base address with a slash at the end": (
        '[providers.openai]\nbase_url = "https://api.openai.com/v1/"',
        "providers.openai.base_url",
        "matching regex",
    ),
    "an unknown class": (
        '[models.gpt-6-luna]\nmodel_class = "fsat"',
        "models.gpt-6-luna.model_class",
        "'fsat' is no known class; near: fast",
    ),
    "an unknown backup": (
        '[models.gpt-6-luna]\nbackup = "claude-haiku-5-6"',
        "models.gpt-6-luna.backup",
        "'claude-haiku-5-6' is no known model; near: claude-haiku-5-5",
    ),
    "itself as a backup": (
        '[models.gpt-6-luna]\nbackup = "gpt-6-luna"',
        "models.gpt-6-luna.backup",
        "another model than itself",
    ),
    "the same backup twice": (
        '[models.gpt-6-luna]\nbackup = "mistral-small-2603"',
        "models.gpt-6-luna.secondary_backup",
        "is the backup already",
    ),
    "an unknown replacement": (
        '[models.gpt-6-luna]\nreplacement = "gpt-9"',
        "models.gpt-6-luna.replacement",
        "is no known model",
    ),
    "replacements in a circle": (
        NEW_MODEL + "replacement = 'gpt-6-sol'\n[models.gpt-6-luna]\nreplacement = 'gpt-6-sol'\n"
        "[models.gpt-6-sol]\nreplacement = 'gpt-x'",
        "models.gpt-6-sol.replacement",
        "goes in a circle: gpt-6-sol > gpt-x > gpt-6-sol",
    ),
    "a local name of another model": (
        '[models.qwen3-4b]\nlocal_names = ["qwen3-8b"]',
        "models.qwen3-4b.local_names",
        "'qwen3-8b' is a name of 'qwen3-",
    ),
    "a local name of another model, spelled otherwise": (
        '[models.qwen3-4b]\nlocal_names = ["Qwen/Qwen3:8B"]',
        "models.qwen3-4b.local_names",
        "is a name of",
    ),
    "a deployment of an unknown model": (
        '[deployments."openai/x"]\nmodel = "x"\nprovider = "openai"\nprovider_model = "x"',
        'deployments."openai/x".model',
        "is no known model",
    ),
    "a deployment at an unknown provider": (
        '[deployments."box/x"]\nmodel = "gpt-6-luna"\nprovider = "box"\nprovider_model = "x"',
        'deployments."box/x".provider',
        "is no known provider",
    ),
    "a deployment with another provider's name": (
        '[deployments.x]\nmodel = "gpt-6-luna"\nprovider = "openai"\nprovider_model = "x"',
        "deployments.x",
        "expected a name that begins with 'openai/'",
    ),
    "a cloud's model at a server of this machine": (
        (
            '[deployments."ollama/cloudy"]\nmodel = "gpt-oss-120b"\nprovider = "ollama"\n'
            'provider_model = "gpt-oss:120b-cloud"'
        ),
        'deployments."ollama/cloudy".provider_model',
        "ollama only sends 'gpt-oss:120b-cloud' on to its maker's cloud",
    ),
    "a cloud's model at a server of one's own network": (
        (
            "[providers.box]\nadapter = 'openai'\nbase_url = 'http://10.0.0.5:11434/v1'\n"
            "boundary = 'own-network'\n[deployments.'box/x']\nmodel = 'gpt-oss-120b'\n"
            "provider = 'box'\nprovider_model = 'GLM-4.6:Cloud'"
        ),
        'deployments."box/x".provider_model',
        "box only sends 'GLM-4.6:Cloud' on",
    ),
    "an unknown candidate": (
        '[classes.fast]\ncandidates = ["gpt-6-luna", "gpt-6-lunar"]',
        "classes.fast.candidates[1]",
        "'gpt-6-lunar' is no known model; near: gpt-6-luna",
    ),
    "a candidate twice": (
        '[classes.fast]\ncandidates = ["gpt-6-luna", "gpt-6-luna"]',
        "classes.fast.candidates[1]",
        "named twice",
    ),
    "a candidate that is a number": (
        "[classes.fast]\ncandidates = [1]",
        "classes.fast.candidates[0]",
        "Expected `str`",
    ),
    "a degraded path to nowhere": (
        '[classes.fast]\ndegraded = "slow"',
        "classes.fast.degraded",
        "is no known class",
    ),
    "a degraded path in a circle": (
        '[classes.open-weight]\ndegraded = "flagship"',
        "classes.flagship.degraded",
        "goes in a circle: flagship > fast > open-weight > flagship",
    ),
    "a shortcut of an unknown class": (
        '[shortcuts.smart]\nclass = "flagships"',
        "shortcuts.smart.class",
        "near: flagship",
    ),
    "a shortcut of a class and candidates": (
        '[shortcuts.x]\ndescription = "x"\nclass = "fast"\ncandidates = ["gpt-6-luna"]',
        "shortcuts.x",
        "exactly one of `class`, `candidates`",
    ),
    "a shortcut of nothing": (
        '[shortcuts.x]\ndescription = "x"',
        "shortcuts.x",
        "exactly one of `class`, `candidates`",
    ),
    "a shortcut whose class has its own degraded path": (
        '[shortcuts.smart]\ndegraded = "fail"',
        "shortcuts.smart",
        "a class has its own",
    ),
    "a rule and candidates": (
        '[shortcuts.x]\ndescription = "x"\nchoose = {classes = ["fast"]}\ncandidates = ["phi-4"]',
        "shortcuts.x",
        "exactly one of",
    ),
    "a rule over an unknown class": (
        '[shortcuts.x]\ndescription = "x"\nchoose = { classes = ["fsat"] }',
        "shortcuts.x.choose.classes[0]",
        "near: fast",
    ),
    "a rule over classes of two kinds": (
        '[shortcuts.x]\ndescription = "x"\nchoose = { classes = ["fast", "rerank"] }',
        "shortcuts.x.choose.classes[1]",
        "'rerank' is for rerank",
    ),
    "a rule over no class": (
        '[shortcuts.x]\ndescription = "x"\nchoose = { classes = [] }',
        "shortcuts.x.choose.classes",
        ">= 1",
    ),
    "a weight of an unknown score": (
        '[shortcuts.x]\ndescription = "x"\nchoose = { classes = ["fast"], weights = {charm = 1} }',
        "shortcuts.x.choose.weights",
        "'charm'; expected one of reasoning, coding",
    ),
    "a need that is no capability": (
        '[shortcuts.x]\ndescription = "x"\nchoose = { classes = ["fast"], needs = ["charm"] }',
        "shortcuts.x.choose.needs[0]",
        "'charm'; expected one of vision, tools",
    ),
    "a target by complexity that is not there": (
        COMPLEX + "simple = 'fsat', medium = 'fast', complex = 'smart' }",
        "shortcuts.x.by_complexity.simple",
        "is no known shortcut, class or model; near: fast",
    ),
    "a target by complexity that leads on": (
        COMPLEX + "simple = 'auto', medium = 'fast', complex = 'smart' }",
        "shortcuts.x.by_complexity.simple",
        "only leads to others",
    ),
    "a target by complexity that is not for chat": (
        COMPLEX + "simple = 'embed', medium = 'fast', complex = 'smart' }",
        "shortcuts.x.by_complexity.simple",
        "is not for chat",
    ),
    "a complexity left out": (
        COMPLEX + "simple = 'fast', medium = 'fast' }",
        "shortcuts.x.by_complexity",
        "missing required field `complex`",
    ),
    "an alias of nothing": (
        "[shortcuts.x]\ndescription = 'x'\nalias_of = 'smrt'",
        "shortcuts.x.alias_of",
        "is no known shortcut; near: smart",
    ),
    "an alias of an alias": (
        "[shortcuts.x]\ndescription = 'x'\nalias_of = 'balanced'",
        "shortcuts.x.alias_of",
        "is an alias itself",
    ),
    "an alias with something of its own": (
        "[shortcuts.x]\ndescription = 'x'\nalias_of = 'smart'\ndefaults = { temperature = 0 }",
        "shortcuts.x",
        "sets nothing of its own",
    ),
    "a latency that is neither": (
        "[shortcuts.smart]\ndefaults = { latency = 'soon' }",
        "shortcuts.smart.defaults.latency",
        "",
    ),
    "a candidate of another kind": (
        '[classes.fast]\ncandidates = ["gpt-6-luna", "rerank-3"]',
        "classes.fast.candidates[1]",
        "'rerank-3' is for rerank, not for chat",
    ),
    "a degraded path of another kind": (
        '[classes.rerank]\ndegraded = "fast"',
        "classes.rerank.degraded",
        "'fast' is for chat, not for rerank",
    ),
    "a backup of another kind": (
        '[models.gpt-6-luna]\nbackup = "rerank-3"',
        "models.gpt-6-luna.backup",
        "is for rerank, not for chat",
    ),
    "a backup of another vector space": (
        '[models.voyage-4]\nbackup = "voyage-4-lite"',
        "models.voyage-4.backup",
        "no other model makes the same vectors",
    ),
    "a deployment of an unknown class": (
        '[deployments."openai/gpt-6-luna"]\nmodel_class = "fsat"',
        'deployments."openai/gpt-6-luna".model_class',
        "is no known class; near: fast",
    ),
    "a weight of nothing": (
        '[deployments."openai/gpt-6-luna"]\nweight = 0',
        'deployments."openai/gpt-6-luna".weight',
        ">= 1",
    ),
    "a speed of nothing": (
        '[deployments."openai/gpt-6-luna".speed]\nfirst_token_seconds = 0',
        'deployments."openai/gpt-6-luna".speed.first_token_seconds',
        "> 0",
    ),
    "a default that no call has": (
        "[shortcuts.smart]\ndefaults = { top_k = 1 }",
        "shortcuts.smart.defaults.top_k",
        "unknown key; known here: max_output_tokens, temperature, reasoning",
    ),
    "an unknown key of the listing": (
        "[local]\nnot_here = []",
        "local.not_here",
        "unknown key; known here: rerank, embedding, not_chat, not_local",
    ),
}

PACKAGED_SIDE = {
    "classes.flagship.degraded",
    "models.gpt-6-luna.secondary_backup",
}


@pytest.mark.parametrize(("text", "key", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_names_the_file_the_key_and_what_was_expected(
    tmp_path: Path, text: str, key: str, expected: str
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_directory([path])
    error = caught.value
    assert error.key == key
    assert re.search(expected, error.expected), error.expected
    # A contradiction is named where it shows, which may be the packaged side of it.
    if key not in PACKAGED_SIDE:
        assert error.file == str(path)
