"""What a piece of a search needs to go the way of a call: its request, and its share of the money.

Rules of this file: nothing is awaited. What waits to be sent is set aside as one sum, and what is
begun takes its share out of it in the same step, so that no other call gets in between.
"""

from __future__ import annotations

from collections.abc import Mapping

from routerd.budget.holds import Hold
from routerd.domain import Attempt, Kind, Route
from routerd.errors import Failure
from routerd.execute.pieces import Piece
from routerd.execute.places import Place
from routerd.execute.purse import Opened, Purse
from routerd.execute.target import Target
from routerd.providers.base import AnswerDecoder, EncodedRequest, Wire
from routerd.providers.request import refusal
from routerd.providers.search import SearchLimits, SearchRequest, SearchWire

__all__ = ["PieceAsking", "PiecePurse", "Reserve", "limits_of"]

# Where a route has no such wire nothing will be sent.
NO_LIMITS = SearchLimits(texts=1)


def limits_of(route: Route, targets: Mapping[str, Target], kind: Kind) -> SearchLimits:
    """Return how much a route takes at once."""
    wire = targets[route.deployment].search.get(kind)
    return NO_LIMITS if wire is None else wire.limits


class _PieceWire:
    """The wire of one piece: its decoder knows what was asked for."""

    def __init__(self, wire: SearchWire, request: SearchRequest) -> None:
        self._wire, self._request = wire, request

    def decoder(self, *, stream: bool) -> AnswerDecoder:
        """Return a fresh decoder for one answer with status 200."""
        return self._wire.decoder(self._request)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Read an answer with any other status."""
        return self._wire.failure(status, headers, body)


class PieceAsking:
    """A piece in the wire of one route."""

    stream = False

    def __init__(self, piece: Piece, kind: Kind, route: Route, target: Target) -> None:
        request = piece.request(target.provider_model, target.model)
        wire = target.search.get(kind)
        self.wire: Wire = target.adapter if wire is None else _PieceWire(wire, request)
        self._search_wire, self._request = wire, request
        self._kind, self._provider = kind, route.provider
        self._encoded: EncodedRequest | None = None

    def encoded(self) -> EncodedRequest:
        """Return the request as it is sent; CallRefused where this wire cannot carry it."""
        if self._search_wire is None:
            raise refusal(f"routerd does not speak {self._kind} with {self._provider}")
        if self._encoded is None:
            self._encoded = self._search_wire.encode(self._request)
        return self._encoded

    def repaired(self, failure: Failure) -> EncodedRequest | None:
        """Return None: nothing in such a request can be changed and still mean the same."""
        return None

    def send_instead(self, repaired: EncodedRequest) -> None:
        """Send this from now on."""
        self._encoded = repaired


class Reserve:
    """What is set aside for the pieces that are not begun; `shares` are their routes, by start."""

    def __init__(self, purse: Purse, target: Target, shares: Mapping[int, Route]) -> None:
        self._purse, self._target = purse, target
        self._shares = dict(shares)
        # One piece alone is held by its attempt.
        self._hold: Hold | None = None
        if len(shares) > 1:
            self.hold()

    def hold(self) -> None:
        """Set aside what is left to begin; what does not fit is found out piece by piece."""
        if self._shares and self._hold is None:
            self._hold = self._purse.set_aside(self._target, list(self._shares.values()))

    def release(self) -> None:
        """Give it back."""
        hold, self._hold = self._hold, None
        if hold is not None:
            hold.release()

    def add(self, shares: Mapping[int, Route]) -> None:
        """Set aside what more is to begin, with all that waits."""
        self.release()
        self._shares.update(shares)
        self.hold()

    def begin(self, start: int) -> None:
        """Leave out a piece: what it takes is held by its own attempt from now on."""
        self._shares.pop(start, None)

    @property
    def is_used(self) -> bool:
        """Whether anything is set aside."""
        return self._hold is not None


class PiecePurse(Purse):
    """The money of one piece: what it opens comes out of what is set aside for all of them."""

    def __init__(self, purse: Purse, place: Place | None, reserve: Reserve, start: int) -> None:
        super().__init__(purse.accounts, purse.record, place)
        self.spending = purse.spending
        self._reserve, self._start = reserve, start

    def open(
        self, route: Route, target: Target, attempt: Attempt, *, forced: bool = False
    ) -> Opened:
        """Set the bound of an attempt aside; NoRoom where that cannot be."""
        reserve = self._reserve
        if not reserve.is_used:
            return super().open(route, target, attempt, forced=forced)
        reserve.release()
        try:
            opened = super().open(route, target, attempt, forced=forced)
            reserve.begin(self._start)
        finally:
            reserve.hold()
        return opened
