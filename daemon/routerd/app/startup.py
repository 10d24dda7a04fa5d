"""What a start needs to know before the event loop runs: settings, directory, providers, socket.

Rules of this file: blocking, and the only place where a start may fail. Everything found wrong is a
SettingsError or a StartError that says what to do; `routerd check` runs the same code and stops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import anyio
from msgspec import Struct, structs

from routerd.app.contracts import local_price, with_contracts
from routerd.app.local_servers import LocalServer, list_models, places_to_look, without_models
from routerd.app.providers import (
    LiveProvider,
    Wanted,
    build_providers,
    found_in,
    live_local,
    wanted,
)
from routerd.app.rehearsing import with_stand_ins
from routerd.budget.definitions import Definition, read_budgets
from routerd.errors import SettingsError, StartError
from routerd.models import load_directory
from routerd.models.directory import Directory
from routerd.providers.transport import Proxies, Transport, TransportSettings, build_transport
from routerd.settings import Egress, Health, ProviderSettings, Settings, load_settings

__all__ = [
    "Startup",
    "configured_providers",
    "find_settings_file",
    "keepalive_seconds",
    "load_user_directory",
    "local_servers",
    "look_for_own_servers",
    "nothing_found",
    "prepare",
    "prepare_transport",
    "with_models_of",
]

NOTHING_FOUND = """\
routerd found no provider, and it never invents answers. Next steps, any of:
  - {key}
  - start a model server on this machine (Ollama, vLLM, llama.cpp) and start again
  - try it without any provider: `routerd serve --simulated`"""
WITHOUT_FILE = "set OPENAI_API_KEY or ANTHROPIC_API_KEY and start again"
# Keys of the environment are not used behind the back of who wrote a file.
WITH_FILE = "name a provider in {file}, such as [providers.openai], then `routerd check`"
SIMULATED_PROVIDERS = ("anthropic", "openai", "voyage")


class Overrides(Struct, frozen=True):
    """Places given on the command line, before any other setting."""

    socket: str | None = None
    ledger: str | None = None


class Startup(Struct, frozen=True):
    """Everything that is settled before the loop runs.

    `file` is the configuration file, None without one. `providers` are those to be called;
    local servers are looked for later if `settings.discovery` says so. `budgets` hold the daily
    default where no other caps what vendors bill. `keys_missing` are providers of a rehearsal whose
    key is a stand-in.
    """

    file: Path | None
    settings: Settings
    directory: Directory
    providers: dict[str, Wanted]
    environ: Mapping[str, str]
    version: str
    simulated: bool = False
    budgets: tuple[Definition, ...] = ()
    overrides: Overrides = Overrides()
    keys_missing: tuple[str, ...] = ()

    @property
    def user_agent(self) -> str:
        """What providers are told that calls them."""
        return f"routerd/{self.version}"

    def __repr__(self) -> str:
        return f"<Startup {self.file or 'without a file'}>"  # the environment holds keys

    def overridden(self, *, socket: str | None = None, ledger: str | None = None) -> Startup:
        """Return this start with places given on the command line."""
        settings = self.settings
        if socket is not None:
            settings = structs.replace(
                settings, socket=structs.replace(settings.socket, path=socket)
            )
        if ledger is not None:
            settings = structs.replace(
                settings, ledger=structs.replace(settings.ledger, path=ledger)
            )
        return structs.replace(self, settings=settings, overrides=Overrides(socket, ledger))

    def again(self) -> Startup:
        """Read everything once more, as a start with the same command line and environment would.

        A file that was used is used again: without it nothing it capped would be capped.
        """
        file = self.file or find_settings_file(self.environ)
        startup = prepare(file, self.environ, simulated=self.simulated)
        return startup.overridden(socket=self.overrides.socket, ledger=self.overrides.ledger)


def find_settings_file(environ: Mapping[str, str]) -> Path | None:
    """Return the configuration file to use if none is named: the first of the usual places."""
    if environ.get("ROUTERD_CONFIG"):
        return Path(environ["ROUTERD_CONFIG"])
    home = environ.get("XDG_CONFIG_HOME") or (
        f"{environ['HOME']}/.config" if environ.get("HOME") else None
    )
    places = [Path(home) / "routerd" / "routerd.toml"] if home else []
    places.append(Path("/etc/routerd/routerd.toml"))
    return next((place for place in places if place.is_file()), None)


def prepare(
    file: Path | None,
    environ: Mapping[str, str],
    *,
    simulated: bool = False,
    rehearsed: bool = False,
) -> Startup:
    """Read and check everything; SettingsError or StartError says what is wrong.

    With `simulated` neither the file's providers nor keys of the environment are used. For what is
    only `rehearsed` a key need not be there.
    """
    settings = load_settings(file) if file is not None else Settings()
    directory = load_user_directory(file)
    if simulated:
        tables = {
            name: ProviderSettings(simulated=True, keyless=True) for name in SIMULATED_PROVIDERS
        }
        settings = structs.replace(
            settings,
            providers=tables,
            discovery=structs.replace(settings.discovery, local_servers=False),
        )
    elif file is None:
        settings = structs.replace(settings, providers=found_in(environ, directory))
    missing: tuple[str, ...] = ()
    if rehearsed:
        found = with_stand_ins(settings, directory, environ, file or "")
        settings, environ, missing = found.settings, found.environ, found.missing
    directory = with_contracts(directory, settings.providers, file or "")
    providers = wanted(settings, directory, environ, file or "")
    for item in providers.values():
        directory = directory.with_provider(item.entry)
    budgets = read_budgets(
        settings.budgets,
        settings.budgeting,
        file or "",
        known={"provider": directory.providers},
        can_be_billed=any(
            item.entry.boundary == "vendor" and not item.simulated for item in providers.values()
        ),
        shadows=settings.shadows,
    )
    _check_keeping(settings, budgets, file or "")
    _check_health(settings.health, file or "")
    if not providers and not settings.discovery.local_servers:
        raise nothing_found(file)
    # Here, because finding out reads files.
    return Startup(
        file,
        settings,
        directory,
        providers,
        environ,
        version("routerd"),
        simulated,
        budgets,
        keys_missing=missing,
    )


def _check_keeping(settings: Settings, budgets: Iterable[Definition], file: Path | str) -> None:
    """Refuse to forget calls that a budget still counts: a restart would not find them."""
    for budget in budgets:
        days = budget.window.days
        if 0 < settings.ledger.keep_days < days:
            raise SettingsError(
                f"expected {days} or more, or 0: budgets.{budget.name} counts what was spent in "
                f"{budget.window}, and a restart must find it",
                file=file,
                key="ledger.keep_days",
            )


def _check_health(health: Health, file: Path | str) -> None:
    """Refuse an alert that would end as soon as it is raised."""
    if health.degraded_clear_percent >= health.degraded_percent:
        raise SettingsError(
            f"expected less than health.degraded_percent, {health.degraded_percent:g}",
            file=file,
            key="health.degraded_clear_percent",
        )


def keepalive_seconds(egress: Egress) -> float:
    """Return how long an idle connection is kept: longer than it is between two warmings."""
    return max(300.0, egress.warm_every_seconds * 2)


def prepare_transport(startup: Startup) -> Transport:
    """Make the transport to providers; reading certificates blocks."""
    egress = startup.settings.egress
    try:
        return build_transport(
            TransportSettings(
                engine=egress.engine,
                http2=egress.http2,
                ca_file=egress.ca_file,
                proxies=Proxies.from_environ(startup.environ),
                keepalive_seconds=keepalive_seconds(egress),
            )
        )
    except SettingsError as error:
        key = f"egress.{error.key}" if error.key else "egress"
        raise SettingsError(error.expected, file=startup.file or "", key=key) from error


def load_user_directory(file: Path | None) -> Directory:
    """Read the directory with the additions a configuration file names."""
    settings = load_settings(file) if file is not None else Settings()
    base = file.parent if file is not None else Path()
    return load_directory([base / name for name in settings.directory])


def nothing_found(file: Path | None) -> StartError:
    """Say that there is no provider at all, and what to do about it."""
    key = WITHOUT_FILE if file is None else WITH_FILE.format(file=file)
    return StartError(NOTHING_FOUND.format(key=key))


def configured_providers(startup: Startup, transport: Transport) -> dict[str, LiveProvider]:
    """Return the providers that the settings and the environment name, by id."""
    return build_providers(
        startup.providers,
        transport,
        connect_seconds=startup.settings.timeouts.connect,
        user_agent=startup.user_agent,
    )


def local_servers(startup: Startup, transport: Transport) -> list[LiveProvider]:
    """Return the local servers to look for, those that the settings name themselves left out."""
    if not startup.settings.discovery.local_servers:
        return []
    return [
        live_local(
            place,
            transport,
            connect_seconds=startup.settings.timeouts.connect,
            user_agent=startup.user_agent,
        )
        for place in places_to_look(startup.directory.providers, startup.environ)
        if place.id not in startup.providers
    ]


def with_models_of(servers: Iterable[LocalServer], startup: Startup) -> Directory:
    """Return the directory of a start with the models that servers of your own list."""
    directory = startup.directory
    for found in servers:
        entry = found.provider.entry
        price = local_price(entry.id, startup.settings.providers, startup.file or "")
        directory = directory.with_provider(entry).with_local_models(
            entry.id, found.models, price=price
        )
    return directory


def look_for_own_servers(startup: Startup, transport: Transport) -> list[LocalServer]:
    """Ask all servers of your own for their models, outside of a running daemon."""
    providers = configured_providers(startup, transport)
    own = without_models(providers.values(), startup.directory)
    places = local_servers(startup, transport)

    async def look() -> list[LocalServer]:
        try:
            return await list_models([*own, *places])
        finally:
            await transport.aclose()

    return anyio.run(look)
