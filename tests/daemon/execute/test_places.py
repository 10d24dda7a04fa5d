"""Places in all and at each provider: who has one, who waits, and what is left behind."""

from __future__ import annotations

import asyncio
from time import monotonic

import anyio
import pytest
from anyio.lowlevel import checkpoint

from routerd.errors import CallRefused
from routerd.execute.fair_queue import BATCH, CRITICAL, ORDINARY
from routerd.execute.places import Place, Places
from routerd.execute.room import Room
from routerd.settings import Limits
from routerd_proto.errors import ErrorInfo
from tests.daemon.execute.scripted import until


class Scene:
    """Places, calls that want one, and in which order they got it."""

    def __init__(
        self,
        in_flight: int = 1,
        queue: int = 10,
        queue_seconds: float = 60.0,
        **providers: int,
    ) -> None:
        limits = Limits(in_flight=in_flight, queue=queue, queue_seconds=queue_seconds)
        self.places = Places(limits, providers)
        self.served: list[str] = []
        self.refused: dict[str, ErrorInfo] = {}
        self.made: dict[str, Place] = {}

    def place(self, name: str, rank: int = ORDINARY, seconds: float = 60.0) -> Place:
        tenant = name.partition("-")[0]
        self.made[name] = Place(self.places, tenant, monotonic() + seconds, rank=rank)
        return self.made[name]

    def enter(self, name: str) -> Place:
        place = self.place(name)
        assert self.places.enter(place)
        return place

    async def wait(
        self, name: str, *providers: str, rank: int = ORDINARY, seconds: float = 60.0
    ) -> None:
        """Wait for a place, and keep it."""
        place = self.made.get(name) or self.place(name, rank, seconds)
        try:
            await self.places.wait(place, providers)
            self.served.append(name)
        except CallRefused as refused:
            self.refused[name] = refused.info

    async def pass_through(self, name: str, rank: int = ORDINARY) -> None:
        """Wait for a place, and give it up in the next turn of the loop."""
        await self.wait(name, rank=rank)
        await checkpoint()
        self.places.leave(self.made[name])

    def check_empty(self) -> None:
        report = self.places.report()
        assert (report["running"], report["waiting"]) == (0, 0)
        for row in report["providers"]:
            assert (row["running"], row["waiting"]) == (0, 0)


async def begun(scene: Scene, waiting: int) -> None:
    await until(lambda: scene.places.waiting == waiting)


async def test_those_who_wait_are_served_in_turns_of_their_tenants() -> None:
    scene = Scene()
    running = scene.enter("first")
    async with anyio.create_task_group() as tasks:
        for name in ("loud-1", "loud-2", "loud-3", "quiet-1"):
            tasks.start_soon(scene.pass_through, name)
        tasks.start_soon(scene.pass_through, "batch", BATCH)
        tasks.start_soon(scene.pass_through, "critical", CRITICAL)
        await begun(scene, 6)
        assert not scene.places.enter(scene.place("too-many"))
        scene.places.leave(running)
    assert scene.served == ["critical", "loud-1", "quiet-1", "loud-2", "loud-3", "batch"]
    scene.check_empty()


async def test_a_place_is_handed_on_in_one_step() -> None:
    scene = Scene()
    running = scene.enter("first")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.wait, "second")
        await begun(scene, 1)
        scene.places.leave(running)
        # The second has not even woken up.
        assert scene.served == []
        assert not scene.places.enter(scene.place("third"))
    assert scene.served == ["second"]
    assert scene.made["second"].queued_us > 0
    assert running.queued_us == 0


@pytest.mark.parametrize("has_turn", [False, True])
async def test_who_hangs_up_while_waiting_leaves_no_trace(has_turn: bool) -> None:
    scene = Scene(in_flight=1, p=1)
    running = scene.enter("first")
    scene.places.take(running, "p")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.wait, "second", "p")
        await begun(scene, 1)
        if has_turn:
            scene.places.leave(running)
        tasks.cancel_scope.cancel()
    # As the pipeline does on every end.
    scene.places.leave(scene.made["second"])
    scene.places.leave(running)
    scene.check_empty()
    assert scene.made["second"].queued_us > 0


async def test_who_hangs_up_in_the_step_in_which_a_place_comes_free_does_not_get_it() -> None:
    scene = Scene()
    running = scene.enter("first")
    async with anyio.create_task_group() as tasks, anyio.create_task_group() as leaving:
        leaving.start_soon(scene.wait, "second")
        await begun(scene, 1)
        tasks.start_soon(scene.wait, "third")
        await begun(scene, 2)
        leaving.cancel_scope.cancel()
        # The second has not woken up since.
        scene.places.leave(running)
    assert scene.served == ["third"]
    scene.places.leave(scene.made["third"])
    scene.check_empty()


async def test_who_waits_too_long_is_told_when_to_come_again() -> None:
    scene = Scene(queue_seconds=0.01)
    running = scene.enter("first")
    await scene.wait("second")
    error = scene.refused["second"]
    assert error.code == "router_overloaded"
    assert error.retryable
    assert error.retry_after == 1.0
    assert "0.01 s" in error.message
    scene.places.leave(running)
    scene.check_empty()


async def test_nobody_waits_beyond_its_deadline() -> None:
    scene = Scene(queue_seconds=600)
    scene.enter("first")
    await scene.wait("second", seconds=0.01)
    assert scene.refused["second"].code == "router_overloaded"
    assert scene.places.waiting == 0


@pytest.mark.parametrize("queue", [0, 1])
async def test_where_the_queue_is_full_one_more_is_refused_at_once(queue: int) -> None:
    scene = Scene(queue=queue)
    scene.enter("first")
    async with anyio.create_task_group() as tasks:
        for number in range(queue):
            tasks.start_soon(scene.wait, f"a-{number}")
        await begun(scene, queue)
        await scene.wait("a-last")
        assert "limits.in_flight" in scene.refused["a-last"].message
        assert ("limits.queue" in scene.refused["a-last"].message) is (queue > 0)
        tasks.cancel_scope.cancel()


async def test_a_batch_call_gives_way_to_another() -> None:
    scene = Scene(queue=1)
    running = scene.enter("first")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: scene.pass_through("a-batch", BATCH))
        await begun(scene, 1)
        tasks.start_soon(lambda: scene.pass_through("a-ordinary"))
        await until(lambda: "a-batch" in scene.refused)
        assert scene.places.waiting == 1
        scene.places.leave(running)
    assert scene.served == ["a-ordinary"]
    scene.check_empty()


async def test_a_full_provider_takes_no_places_from_the_others() -> None:
    """Ten calls want a provider for one at a time: one runs, and nine places stay free."""
    scene = Scene(in_flight=10, queue=20, slow=1, other=10)
    assert scene.places.take(scene.enter("a-0"), "slow")
    async with anyio.create_task_group() as tasks:
        for number in range(1, 10):
            scene.enter(f"a-{number}")
            assert not scene.places.take(scene.made[f"a-{number}"], "slow")
            tasks.start_soon(scene.wait, f"a-{number}", "slow")
        await begun(scene, 9)
        assert scene.places.running == 1
        for number in range(9):
            assert scene.places.take(scene.enter(f"b-{number}"), "other")
        # One after the other, as its place comes free; what the others do changes nothing.
        for number in range(9):
            scene.places.leave(scene.made[f"b-{number}"])
            assert scene.served == [f"a-{index}" for index in range(1, number + 1)]
            scene.places.leave(scene.made[f"a-{number}"])
            await until(lambda number=number: len(scene.served) == number + 1)  # type: ignore[misc]
            # The place at the provider is kept for it.
            assert not scene.places.take(scene.enter("thief"), "slow")
            scene.places.leave(scene.made["thief"])
            assert scene.places.take(scene.made[f"a-{number + 1}"], "slow")
    scene.places.leave(scene.made["a-9"])
    scene.check_empty()


async def test_who_waits_for_one_of_two_providers_goes_where_there_is_room() -> None:
    scene = Scene(in_flight=3, p=1, q=1)
    one, two = scene.enter("one"), scene.enter("two")
    assert scene.places.take(one, "p")
    assert scene.places.take(two, "q")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.wait, "three", "p", "q")
        await begun(scene, 1)
        scene.places.give_back(two)
    three = scene.made["three"]
    assert three.reserved == "q"
    # It may be that the first one it asks has room by now: then it needs the other no more.
    scene.places.give_back(one)
    assert scene.places.take(three, "p")
    assert scene.places.take(two, "q")
    scene.places.leave(three)
    for place in (one, two):
        scene.places.leave(place)
    scene.check_empty()


async def test_who_finds_room_by_now_does_not_wait() -> None:
    scene = Scene(in_flight=1, queue=0, p=1)
    place = scene.enter("one")
    await scene.wait("one", "p")
    assert scene.served == ["one"]
    assert place.queued_us == 0
    scene.places.leave(place)
    scene.check_empty()


async def test_a_copy_does_not_wait() -> None:
    scene = Scene()
    copy = Place(scene.places, "a", monotonic() + 60, waits=False)
    scene.enter("first")
    with pytest.raises(CallRefused):
        await scene.places.wait(copy)


async def test_more_places_are_given_out_at_once_and_fewer_take_none_away() -> None:
    scene = Scene(in_flight=1, queue=5)
    scene.enter("a-1")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.wait, "a-2")
        await begun(scene, 1)
        scene.places.replace(Limits(in_flight=2, queue=5), {})
    assert scene.served == ["a-2"]
    scene.places.replace(Limits(in_flight=1, queue=5), {})
    assert scene.places.running == 2
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.wait, "a-3")
        await begun(scene, 1)
        scene.places.leave(scene.made["a-1"])
        await asyncio.sleep(0)
        assert scene.places.waiting == 1
        scene.places.leave(scene.made["a-2"])
    scene.places.leave(scene.made["a-3"])
    scene.check_empty()


def test_the_wait_is_told_by_how_long_others_stayed() -> None:
    room: Room[str] = Room(4)
    for name in "abcd":
        room.since[name] = 0.0
    # Nobody has left: the first has been there for two seconds.
    assert room.expected_wait(0, 2.0) == 2.0 / 4
    room.leave("a", 8.0)
    assert room.expected_wait(0, 9.0) == 8.0 / 4
    assert room.expected_wait(7, 9.0) == 8 * 8.0 / 4
    # A newer one counts a fifth.
    room.leave("b", 13.0)
    assert room.expected_wait(0, 13.0) == pytest.approx(9.0 / 4)
