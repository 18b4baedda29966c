"""What requests asked, worked out again."""

import json

import msgspec
import pytest

from pytest_llmserve.domain.entry import Conversation
from pytest_llmserve.domain.exchange import prompt_chars
from pytest_llmserve.domain.marks import nonce, turn_id
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.load.asked import Asked
from pytest_llmserve.load.flight import Recorder
from pytest_llmserve.load.job import Job
from pytest_llmserve.load.open_loop import OpenLoop
from pytest_llmserve.load.requests import RequestWriter
from pytest_llmserve.load.schedule import Arrival
from pytest_llmserve.load.shard import ShardWriter
from pytest_llmserve.load.trace import read_trace, rows_to_json, within_plan

PROMPTS = ["one", "two", [{"role": "system", "content": "s"}, {"role": "user", "content": "three"}]]


def job(plan, rows=()):
    target = msgspec.structs.replace(target_from_url("http://127.0.0.1:8000"), api="openai-chat", model="m")
    return Job(
        target=target,
        plan=plan,
        prompts_json=json.dumps(PROMPTS).encode(),
        tasks=[],
        address=(2, ("127.0.0.1", 8000)),
        index=0,
        shard="",
        trace_json=rows_to_json(rows),
    )


def messages(raw):
    return json.loads(raw.partition(b"\r\n\r\n")[2])["messages"]


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("salt", ["5eed0000", None])
def test_it_is_what_the_worker_writes(salt, in_order):
    plan = LoadPlan(requests=9, seed=7, salt=salt, in_order=in_order)
    writer, asked = RequestWriter(job(plan)), Asked(plan, PROMPTS)
    for request_id in range(9):
        sent = asked.sent(request_id)
        expected = [{"role": "user", "content": sent}] if isinstance(sent, str) else sent
        assert messages(writer.write(request_id).raw) == expected
        assert asked.prompt(request_id) == writer.prompt(request_id)


def test_of_a_trace_too(tmp_path):
    """Prompts that were recorded, and those made to a recorded length."""
    trace = tmp_path / "trace.jsonl"
    trace.write_text('{"timestamp": 0, "prompt": "as recorded"}\n{"timestamp": 0.1, "input_chars": 40}\n')
    plan = LoadPlan(trace=str(trace), seed=7, salt="5eed0000")
    rows, asked = within_plan(read_trace(trace), plan), Asked(plan, PROMPTS)
    shard = ShardWriter(str(tmp_path / "shard"))
    loop = OpenLoop(job(plan, rows), Recorder(job(plan).target, shard, from_schedule=True))
    shard.close()
    for number, row in enumerate(rows):
        flight = loop._write(Arrival(number, row.at_ns))
        assert messages(flight.raw)[-1]["content"] == asked.sent(number)
    assert asked.prompt(0) == "as recorded"
    assert prompt_chars(asked.sent(1)) == 40


def test_of_a_conversation_it_is_what_is_new_in_the_turn():
    """The mark stands in the first alone."""
    asked = Asked(LoadPlan(requests=9, salt="5eed0000"), [Conversation(["Hi", "Why?"], "Be brief.")])
    mark = f"[{nonce('5eed0000', 4)}] "
    system = {"role": "system", "content": "Be brief."}
    assert asked.sent(4) == [system, {"role": "user", "content": f"{mark}Hi"}]
    assert asked.prompt(4) == [system, {"role": "user", "content": "Hi"}]
    assert asked.sent(turn_id(4, 2)) == asked.prompt(turn_id(4, 2)) == "Why?"
