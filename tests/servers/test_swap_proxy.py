"""The swapping proxy exchanges what it is told to, and nothing else."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

sys.path.append(str(Path(__file__).parent))
from swap_proxy import Swapper


def passed(share, answers, seed=0):
    """Who gets what, of answers that come one after the other while all clients wait."""

    async def run():
        swapper = Swapper(share, seed)
        waiting = []
        for answer in answers:
            waiting.append(asyncio.ensure_future(swapper.swapped(answer)))
            await asyncio.sleep(0)
        return await asyncio.gather(*waiting)

    return asyncio.run(run())


def test_picked_answers_go_to_each_others_clients():
    assert passed(1.0, ["a", "b", "c", "d"]) == ["b", "a", "d", "c"]


def test_without_a_share_nothing_is_exchanged():
    assert passed(0.0, ["a", "b", "c", "d"]) == ["a", "b", "c", "d"]


def test_an_answer_without_a_partner_goes_to_its_own_client(monkeypatch):
    monkeypatch.setattr("swap_proxy.WAIT_LIMIT_S", 0.01)
    assert passed(1.0, ["a"]) == ["a"]
