"""Where a provider's key comes from, in order, and that it never gets into an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from routerd.errors import SettingsError
from routerd.settings import KeySettings, ProviderSettings, read_key

FILE_KEY, CREDENTIAL_KEY, ENVIRONMENT_KEY = "from-the-file", "from-systemd", "from-environ"


@pytest.fixture
def sources(tmp_path: Path) -> tuple[ProviderSettings, dict[str, str]]:
    (tmp_path / "key").write_text(f"  {FILE_KEY}\n")
    (tmp_path / "vendor").write_text(f"{CREDENTIAL_KEY}\n")
    settings = ProviderSettings(key_file=str(tmp_path / "key"), key_env="VENDOR_KEY")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "VENDOR_KEY": f" {ENVIRONMENT_KEY}\n"}
    return settings, environ


def test_the_order_is_file_credential_environment(
    sources: tuple[ProviderSettings, dict[str, str]],
) -> None:
    settings, environ = sources
    without_file = ProviderSettings(key_env="VENDOR_KEY")
    assert read_key("vendor", settings, environ) == FILE_KEY
    assert read_key("vendor", without_file, environ) == CREDENTIAL_KEY
    assert read_key("another", without_file, environ) == ENVIRONMENT_KEY
    del environ["CREDENTIALS_DIRECTORY"]
    assert read_key("vendor", without_file, environ) == ENVIRONMENT_KEY


def test_a_keyless_provider_has_none_whatever_there_is(
    sources: tuple[ProviderSettings, dict[str, str]],
) -> None:
    _, environ = sources
    assert read_key("vendor", ProviderSettings(keyless=True), environ) is None


@pytest.mark.parametrize("environ", [{}, {"VENDOR_KEY": ""}, {"VENDOR_KEY": " \n"}])
def test_a_missing_key_says_all_that_would_do(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        read_key("vendor", ProviderSettings(key_env="VENDOR_KEY"), environ, "routerd.toml")
    error = caught.value
    assert (error.file, error.key) == ("routerd.toml", "providers.vendor.key_env")
    for way_out in ("VENDOR_KEY", "key_file", "credential named vendor", "enabled = false"):
        assert way_out in error.expected


def test_without_a_variable_the_file_is_what_is_missing() -> None:
    with pytest.raises(SettingsError) as caught:
        read_key("vendor", ProviderSettings(), {})
    assert caught.value.key == "providers.vendor.key_file"


def test_a_key_file_that_is_missing_is_not_passed_over(
    sources: tuple[ProviderSettings, dict[str, str]], tmp_path: Path
) -> None:
    _, environ = sources
    settings = ProviderSettings(key_file=str(tmp_path / "none"), key_env="VENDOR_KEY")
    with pytest.raises(SettingsError, match="none") as caught:
        read_key("vendor", settings, environ, "routerd.toml")
    assert caught.value.key == "providers.vendor.key_file"


@pytest.mark.parametrize("content", [b"", b" \n\t\n"])
def test_an_empty_key_file_is_a_mistake(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(SettingsError, match="is empty; expected a key") as caught:
        read_key("vendor", ProviderSettings(key_file=str(tmp_path / "key")), {})
    assert caught.value.key == "providers.vendor.key_file"


def test_an_empty_credential_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "vendor").write_bytes(b"\n")
    with pytest.raises(SettingsError, match="is empty") as caught:
        read_key("vendor", ProviderSettings(), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert caught.value.key == "providers.vendor"


@pytest.mark.parametrize(
    "content", [b"first-secret\nsecond-secret\n", b"secret-\xff", b"secret-\xc3\xa9", b"sec ret"]
)
def test_a_key_no_header_can_carry_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        read_key("vendor", ProviderSettings(key_file=str(tmp_path / "key")), {}, "routerd.toml")
    error = caught.value
    assert error.key == "providers.vendor.key_file"
    assert "sec" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__


def test_the_same_holds_for_the_environment() -> None:
    with pytest.raises(SettingsError) as caught:
        read_key("vendor", ProviderSettings(key_env="VENDOR_KEY"), {"VENDOR_KEY": "se\ncret"})
    assert caught.value.key == "providers.vendor.key_env"
    assert "cret" not in str(caught.value)


def test_a_named_key_is_found_in_the_same_order(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(FILE_KEY)
    (tmp_path / "vendor").write_text("the key of a provider with one key")
    (tmp_path / "vendor.work").write_text(CREDENTIAL_KEY)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "WORK_KEY": ENVIRONMENT_KEY}
    settings = KeySettings(key_file=str(tmp_path / "key"), key_env="WORK_KEY")
    without_file = KeySettings(key_env="WORK_KEY")
    assert read_key("vendor", settings, environ, name="work") == FILE_KEY
    assert read_key("vendor", without_file, environ, name="work") == CREDENTIAL_KEY
    assert read_key("vendor", without_file, environ, name="home") == ENVIRONMENT_KEY


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (KeySettings(), "providers.vendor.keys.work.key_file"),
        (KeySettings(key_env="WORK_KEY"), "providers.vendor.keys.work.key_env"),
        (KeySettings(key_file="/nonexistent"), "providers.vendor.keys.work.key_file"),
    ],
)
def test_a_missing_named_key_is_told_at_its_place(settings: KeySettings, place: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_key("vendor", settings, {}, "routerd.toml", name="work")
    assert caught.value.key == place
    if not settings.key_file:
        assert "a systemd credential named vendor.work" in caught.value.expected
