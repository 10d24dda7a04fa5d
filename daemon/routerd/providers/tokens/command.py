"""A program that prints an access token.

Rules of this file: no shell, no input, a bound on its time and on what is read. What it prints is a
secret, and so may be what it complains with: neither is ever quoted. It prints the token alone, or
JSON with `access_token` and, if it likes, `expires_in`.
"""

from __future__ import annotations

import subprocess
from pathlib import PurePath
from typing import Final

import anyio.to_thread

from routerd.errors import Failure
from routerd.providers.base import Headers
from routerd.providers.json_text import JSON_ERRORS, read_json
from routerd.providers.tokens.source import Token, identity_of, is_token, token_of, unavailable

__all__ = ["CommandSource"]

MAX_OUTPUT_BYTES: Final = 65_536


class CommandSource:
    """A program with its arguments; its token is good for `seconds` unless it says otherwise.

    It may run for `limit_seconds`: 10, less than most calls wait for an answer.
    """

    def __init__(
        self, words: tuple[str, ...], seconds: float, *, limit_seconds: float = 10.0
    ) -> None:
        self._words = words
        self._seconds = seconds
        self._limit_seconds = limit_seconds
        self.name = f"the command {PurePath(words[0]).name}"
        self.identity = identity_of("command", f"{seconds:g}", *words)

    def __repr__(self) -> str:
        return "<CommandSource>"

    @property
    def secrets(self) -> Headers:
        """Return nothing that is known before it runs."""
        return []

    async def run(self) -> Token | Failure:
        """Run the program once, in a thread: starting one blocks. Cancelling this ends it."""
        started: list[subprocess.Popen[bytes]] = []
        try:
            return await anyio.to_thread.run_sync(self._run, started, abandon_on_cancel=True)
        finally:
            for process in started:
                process.kill()

    def _run(self, started: list[subprocess.Popen[bytes]]) -> Token | Failure:
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own words, and no shell
                self._words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            return unavailable(self.name, f"cannot be run ({error.strerror or 'no reason given'})")
        with process:
            started.append(process)
            try:
                output, _ = process.communicate(timeout=self._limit_seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                told = f"did not end in {self._limit_seconds:g} s"
                return unavailable(self.name, told, passes=True)
        if process.returncode != 0:
            return unavailable(self.name, f"ended with status {process.returncode}", passes=True)
        token = self._read(output[:MAX_OUTPUT_BYTES])
        return token or unavailable(self.name, "printed no token", passes=True)

    def _read(self, output: bytes) -> Token | None:
        text = output.decode("utf-8", "replace").strip()
        if text.startswith("{"):
            try:
                value = read_json(output)
            except JSON_ERRORS:
                return None
            return token_of(value, self._seconds) if isinstance(value, dict) else None
        return Token(text, self._seconds) if is_token(text) else None
