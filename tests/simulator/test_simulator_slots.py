"""A queue of slots: first come first served, and nothing lost but what a fault loses."""

from __future__ import annotations

import asyncio

import pytest

from pytest_llmserve.simulator.slots import Slots


async def entered(slots, name, order):
    await slots.take()
    order.append(name)


def test_the_first_to_come_is_the_first_to_be_served():
    """Two slots for four: the others wait in their order, and who gives up is passed over."""

    async def run():
        slots, order = Slots(2), []
        tasks = [asyncio.create_task(entered(slots, name, order)) for name in "abcd"]
        await asyncio.sleep(0)
        assert (order, slots.running, slots.waiting) == (["a", "b"], 2, 2)
        tasks[2].cancel()
        await asyncio.sleep(0)
        assert slots.waiting == 1
        slots.give()
        await asyncio.sleep(0)
        assert (order, slots.running, slots.waiting) == (["a", "b", "d"], 2, 0)
        slots.give()
        slots.give()
        assert slots.running == 0

    asyncio.run(run())


@pytest.mark.parametrize("given_first", [True, False])
def test_a_slot_given_to_one_who_leaves_in_that_moment_goes_on(given_first):
    """It is neither lost nor counted twice."""

    async def run():
        slots = Slots(1)
        await slots.take()
        task = asyncio.create_task(slots.take())
        await asyncio.sleep(0)
        for act in (slots.give, task.cancel) if given_first else (task.cancel, slots.give):
            act()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (slots.running, slots.waiting) == (0, 0)

    asyncio.run(run())


def test_a_lost_place_takes_its_slot_for_ever():
    """When its turn comes."""

    async def run():
        slots = Slots(1)
        await slots.take()
        slots.lose()
        assert (slots.running, slots.waiting) == (1, 1)
        slots.give()
        assert (slots.running, slots.waiting) == (1, 0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slots.take(), 0.02)

    asyncio.run(run())
