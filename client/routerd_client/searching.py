"""One embedding or ranking under way: what was asked, and the parts that came back.

Rules of this file: no I/O and no waiting, as for every request.
"""

from __future__ import annotations

from routerd_client.errors import RouterdError, error_from
from routerd_client.found import Found, check_vectors, found
from routerd_client.request import UNFINISHED, ModelCall, StreamPart
from routerd_proto import ProtocolError, error_info
from routerd_proto.frames import CallEnded, DaemonFrame
from routerd_proto.search import EmbedRequested, RankingAdded, SearchRequested, VectorsAdded

__all__ = ["Search"]


class Search(ModelCall):
    """One embedding or ranking."""

    frame: SearchRequested

    def __init__(self, frame: SearchRequested, local_timeout: float | None = None) -> None:
        super().__init__(frame, local_timeout)
        self.parts: list[VectorsAdded | RankingAdded] = []
        self._rows = 0

    def take(self, frame: DaemonFrame) -> StreamPart | None:
        """Take a frame of the answer; nothing of it is for the caller before it is whole."""
        self.heard = True
        if isinstance(frame, VectorsAdded):
            asked = self.frame
            inputs = len(asked.inputs) if isinstance(asked, EmbedRequested) else 0
            self._rows += check_vectors(frame, inputs)
            self.parts.append(frame)
        elif isinstance(frame, RankingAdded):
            self.parts.append(frame)
            self._rows = 1
        else:
            self._note_end(frame)
        return None

    def _note_end(self, frame: DaemonFrame) -> None:
        if isinstance(frame, CallEnded) and frame.error is None:
            asked = self.frame
            wanted = len(asked.inputs) if isinstance(asked, EmbedRequested) else 1
            if self._rows != wanted:
                raise ProtocolError(error_info("protocol_error", "the answer is not all there"))
        self.note(frame)

    def error(self) -> RouterdError:
        """Build the exception for `failure`, with what had arrived of the answer."""
        info = self.failure or UNFINISHED
        return error_from(info, None, self.decision_id, self._so_far() if self.parts else None)

    def result(self) -> Found:
        """Return the whole answer. Raises the typed error if there is none."""
        if not self.ended or self.failure is not None:
            raise self.error()
        return self._so_far()

    @property
    def has_content(self) -> bool:
        """Whether a part of the answer has arrived."""
        return bool(self.parts)

    def _so_far(self) -> Found:
        end = self.end or CallEnded("error", self.decision_id, error=self.failure)
        return found(self.frame, self.parts, end, self.trace_id)
