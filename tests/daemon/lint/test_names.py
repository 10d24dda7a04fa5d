"""The table of vendors: every name in it is found, and no file that has one is passed over."""

from __future__ import annotations

import pytest

from routerd.lint.names import (
    find_distribution,
    find_host,
    find_module,
    find_package,
    names_a_vendor,
)
from routerd.lint.python import check_python
from routerd.lint.script import check_script
from routerd.lint.vendors import BEDROCK_SERVICES, OPEN, VENDORS

MODULES = [name for vendor in VENDORS for name in vendor.modules]
PACKAGES = [name for vendor in VENDORS for name in vendor.packages]
HOSTS = [name for vendor in VENDORS for name in vendor.hosts]


def test_no_name_leads_to_two_vendors() -> None:
    for kind in ("modules", "packages", "distributions", "hosts"):
        names = [name for vendor in VENDORS for name in getattr(vendor, kind)]
        assert len(set(names)) == len(names)
    assert len({vendor.name for vendor in VENDORS}) == len(VENDORS)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_is_found_in_every_form(name: str) -> None:
    parent, _, last = name.rpartition(".")
    forms = [
        f"import {name}",
        f"import os, {name}.x as y",
        f"from {name} import x",
        f"import_module('{name}')",
    ]
    if parent:
        forms.append(f"from {parent} import (\n    os,\n    {last},\n)")
    for form in forms:
        source = f"# -*- coding: utf-8 -*-\n{form}\n"
        assert names_a_vendor(source.encode()), form
        assert [item.kind for item in check_python(source)] == ["import"], form
    vendor = find_module(name)
    assert vendor is not None
    assert name in vendor.modules


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_is_found_in_every_form(name: str) -> None:
    for form in (f"import '{name}'", f'import x from "{name}/y"', f"require(`{name}`)"):
        assert names_a_vendor(form.encode())
        assert [item.kind for item in check_script(form)] == ["import"], form
    assert find_package(name) is not None
    assert find_package(f"{name}-of-mine") is None


@pytest.mark.parametrize("name", HOSTS)
def test_every_host_is_found_in_every_form(name: str) -> None:
    before = "own" if name[0] in OPEN else ""
    after = "us-east-1.amazonaws.com" if name[-1] == "." else ""
    host = f"{before}{name}{after}"
    for text in (f"https://{host}", f"HTTPS://{host}:443/v1", host, f"{host}/v1", name):
        assert find_host(text) is not None, text
        source = f"x = '{text}'"
        assert names_a_vendor(source.encode()), text
        assert [item.kind for item in check_python(source)] == ["host"], text
    if not after:
        assert find_host(f"https://{host}.example.org") is None


@pytest.mark.parametrize("name", BEDROCK_SERVICES)
def test_every_service_of_bedrock_is_found(name: str) -> None:
    assert names_a_vendor(f"boto3.client('{name}')".encode())


def test_distributions_are_compared_as_pypi_does() -> None:
    for name in ("Google_GenAI", "google.genai", "llama-index-llms-openai"):
        assert find_distribution(name) is not None
    for name in ("openai-tools", "llama-index", "llama-index-core", "msgspec"):
        assert find_distribution(name) is None


def test_talk_of_a_word_is_no_name() -> None:
    assert not names_a_vendor(b"# put together, and replicate it coherently\nimport os\n")
    assert names_a_vendor(b"import together")
    assert names_a_vendor(b"x = 'https://api.together.xyz'")
