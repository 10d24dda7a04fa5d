"""What a running daemon cannot change is held back and named, all else is let through."""

from __future__ import annotations

from pathlib import Path

import pytest

from routerd.app.restarting import held_back
from routerd.app.startup import Startup, prepare

PROVIDER = """
[discovery]
local_servers = false
[providers.openai]
keyless = true
simulated = true
"""


def startup(folder: Path, text: str) -> Startup:
    file = folder / "routerd.toml"
    file.write_text(PROVIDER + text, encoding="utf-8")
    return prepare(file, {"HOME": str(folder)})


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("", ()),
        ("[limits]\nin_flight = 3\n[log]\nlevel = 'debug'\n[socket]\nidle_seconds = 9\n", ()),
        ('[socket]\npath = "/elsewhere.sock"\n', ("socket.path",)),
        ('[socket]\npath = "/run/routerd/routerd.sock"\n', ()),
        ('[socket]\nmode = "0600"\n', ("socket.mode",)),
        ('[ledger]\npath = "/elsewhere.db"\nqueue_limit = 5\n', ("ledger.path",)),
        ('[egress]\nengine = "httpx"\nhttp2 = true\n', ("egress.engine", "egress.http2")),
        ("[egress]\nwarm_every_seconds = 150\n", ()),
        ("[egress]\nwarm_every_seconds = 151\n", ("egress.warm_every_seconds",)),
    ],
)
def test_what_is_held_back(tmp_path: Path, text: str, held: tuple[str, ...]) -> None:
    running = startup(tmp_path, "")
    wanted = startup(tmp_path, text)
    made, names = held_back(running, wanted)
    assert names == held
    assert made.settings.limits == wanted.settings.limits
    assert made.settings.log == wanted.settings.log
    assert made.settings.ledger.queue_limit == wanted.settings.ledger.queue_limit
    # It stays named until the restart.
    assert held_back(made, wanted)[1] == held
    assert held_back(made, running)[1] == ()


def test_places_of_the_command_line_come_first_at_a_reload_too(tmp_path: Path) -> None:
    running = startup(tmp_path, "").overridden(socket="/mine.sock", ledger="/mine.db")
    startup(tmp_path, '[socket]\npath = "/other.sock"\n[ledger]\npath = "/other.db"\n')
    again = running.again()
    assert (again.settings.socket.path, again.settings.ledger.path) == ("/mine.sock", "/mine.db")
    assert held_back(running, again)[1] == ()


def test_a_file_that_came_since_is_found_and_one_that_went_is_missed(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "OPENAI_API_KEY": "k"}
    running = prepare(None, environ)
    assert running.again().file is None
    folder = tmp_path / "routerd"
    folder.mkdir()
    file = folder / "routerd.toml"
    file.write_text(PROVIDER, encoding="utf-8")
    again = running.again()
    assert again.file == file
    file.unlink()
    with pytest.raises(Exception, match="no such file"):
        again.again()
