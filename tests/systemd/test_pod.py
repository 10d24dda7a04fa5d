"""The sidecar manifest, judged by Kubernetes' schemas and against the image and the daemon."""

from __future__ import annotations

import copy
import importlib
import os
from pathlib import Path
from typing import Any

import pytest

from routerd import cli
from routerd.settings import Limits
from routerd_client.address import socket_paths

POD = Path(__file__).parents[2] / "systemd" / "pod"
OLDEST = "1.29"  # the first that runs native sidecars without being asked to
SYSTEM_PACKAGES = "ROUTERD_INSTALL_SYSTEM_PACKAGES"


def require_package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        if os.environ.get(SYSTEM_PACKAGES):
            raise
        pytest.skip(f"{name} is not installed: it comes with requirements-vendors.lock")


@pytest.fixture
def kubernetes() -> Any:
    return require_package("kubernetes_validate")


@pytest.fixture
def pod() -> dict[str, Any]:
    yaml = require_package("yaml")
    text = (POD / "routerd-pod.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.fixture
def sidecar(pod: dict[str, Any]) -> dict[str, Any]:
    [container] = pod["spec"]["initContainers"]
    return dict(container)


@pytest.fixture
def app(pod: dict[str, Any]) -> dict[str, Any]:
    [container] = pod["spec"]["containers"]
    return dict(container)


def mounts(container: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["name"]: mount for mount in container["volumeMounts"]}


def image_settings() -> dict[str, str]:
    """Read what the Dockerfile's ENV and USER say."""
    text = (POD / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("ENV "):
            found |= dict(word.split("=", 1) for word in line.split()[1:])
        if line.startswith("USER "):
            found["USER"] = line.split()[1]
    return found


# --- what Kubernetes says ---------------------------------------------------------------------


def test_the_manifest_is_valid_in_the_oldest_and_the_newest_kubernetes(
    pod: dict[str, Any], kubernetes: Any
) -> None:
    for version in (OLDEST, kubernetes.latest_version()):
        kubernetes.validate(pod, version, strict=True)


@pytest.mark.parametrize("place", ["spec", "initContainers", "volumes", "startupProbe"])
def test_an_unknown_key_would_be_found(pod: dict[str, Any], kubernetes: Any, place: str) -> None:
    damaged = copy.deepcopy(pod)
    spec = damaged["spec"]
    {
        "spec": spec,
        "initContainers": spec["initContainers"][0],
        "volumes": spec["volumes"][0],
        "startupProbe": spec["initContainers"][0]["startupProbe"],
    }[place]["restartPolic"] = "Always"
    with pytest.raises(kubernetes.ValidationError, match="restartPolic"):
        kubernetes.validate(damaged, OLDEST, strict=True)


# --- what routerd needs -----------------------------------------------------------------------


def test_the_daemon_is_a_native_sidecar(sidecar: dict[str, Any]) -> None:
    assert sidecar["name"] == "routerd"
    assert sidecar["restartPolicy"] == "Always"


def test_the_app_reaches_the_socket_where_clients_look(
    sidecar: dict[str, Any], app: dict[str, Any]
) -> None:
    path = socket_paths(None, {})[-1]
    assert sidecar["args"][-2:] == ["--socket", path]
    theirs, ours = mounts(sidecar)["socket"], mounts(app)["socket"]
    assert theirs["mountPath"] == ours["mountPath"] == str(Path(path).parent)
    assert "readOnly" not in theirs
    assert ours["readOnly"] is True
    assert "subPath" not in ours, "a file mount keeps the socket of a daemon that is gone"


def test_the_volumes_lie_where_the_image_looks(sidecar: dict[str, Any]) -> None:
    image, volumes = image_settings(), mounts(sidecar)
    assert volumes["keys"]["mountPath"] == image["CREDENTIALS_DIRECTORY"]
    assert volumes["state"]["mountPath"] == image["STATE_DIRECTORY"]
    configuration = sidecar["args"][sidecar["args"].index("--config") + 1]
    assert volumes["configuration"]["mountPath"] == str(Path(configuration).parent)
    assert volumes["keys"]["readOnly"] is volumes["configuration"]["readOnly"] is True


def test_every_mount_has_its_volume(
    pod: dict[str, Any], sidecar: dict[str, Any], app: dict[str, Any]
) -> None:
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    assert set(mounts(sidecar)) == volumes
    assert set(mounts(app)) == {"socket"}, "the app sees neither keys nor ledger"


def test_keys_are_files_and_never_in_the_environment(
    pod: dict[str, Any], sidecar: dict[str, Any], app: dict[str, Any]
) -> None:
    [keys] = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "keys"]
    assert keys["secret"]["defaultMode"] == 0o440
    for container in (sidecar, app):
        assert not {"env", "envFrom"} & set(container)


def test_the_command_lines_are_understood(sidecar: dict[str, Any]) -> None:
    serve = cli._parser("serve").parse_args(sidecar["args"])
    assert serve.verb == "serve"
    asked: dict[str, list[str]] = {}
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        program, *arguments = sidecar[name]["exec"]["command"]
        probe = cli._parser("status").parse_args(arguments)
        assert (program, probe.verb) == ("routerd", "status")
        asked[name] = [option for option in ("quiet", "ready", "live") if getattr(probe, option)]
    assert asked == {
        "startupProbe": ["quiet"],
        "readinessProbe": ["ready"],
        "livenessProbe": ["live"],
    }


def test_running_calls_may_end_before_the_pod_is_killed(pod: dict[str, Any]) -> None:
    assert pod["spec"]["terminationGracePeriodSeconds"] > Limits().drain_seconds


def test_nobody_is_root(pod: dict[str, Any], sidecar: dict[str, Any], app: dict[str, Any]) -> None:
    everybody = pod["spec"]["securityContext"]
    assert everybody["runAsNonRoot"] is True
    assert f"{everybody['runAsUser']}:{everybody['runAsGroup']}" == image_settings()["USER"]
    assert everybody["fsGroup"] == everybody["runAsGroup"]
    for container in (sidecar, app):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
