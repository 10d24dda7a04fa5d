"""How an answer is read that the model was made to give by a tool of ours.

Rules of this file: only the request knows that, so that it names this as what reads its answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from routerd.errors import Failure
from routerd.providers.base import AnswerDecoder
from routerd.providers.bedrock.decode import ConverseDecoder
from routerd.providers.bedrock.failure import read_failure

__all__ = ["AnswersByTool"]


class AnswersByTool:
    """Read answers whose text is the arguments of a call, and nothing else."""

    def decoder(self, *, stream: bool) -> AnswerDecoder:
        """Return a fresh decoder for one answer with status 200."""
        return ConverseDecoder(stream=stream, by_tool=True)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status. Header names are in lower case."""
        return read_failure(status, headers, body)
