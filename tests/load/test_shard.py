"""What workers write is what is read; what is damaged is said."""

import pytest

from pytest_llmserve.domain.errors import GeneratorError
from pytest_llmserve.domain.record import NOT_KEPT, RequestRecord
from pytest_llmserve.load.shard import ShardTail, ShardTexts, ShardWriter, read_shard

ODD = "a\x00\u2028\ud800é🦜"


def record(request_id=1, **given):
    rest = dict.fromkeys(RequestRecord.__struct_fields__)
    rest |= {"id": request_id, "scheduled_ns": 5, "token_ns": (7, 9), "outcome": "ok", "input_chars": 3}
    rest |= {"output_chars": 4, "warm_up": False, "attempt": 1, "stage": 0, "from_schedule": False}
    rest |= {"steps": (), "turn": 0}
    del rest["texts"]
    return RequestRecord(**{**rest, **given})


@pytest.fixture
def shard(tmp_path):
    """Two records with texts and one without."""
    prefix = str(tmp_path / "shard-1")
    writer = ShardWriter(prefix)
    for number, text in enumerate(("first", ODD, "")):
        writer.add(record(number, text_at=writer.add_text(text)))
    writer.close()
    return prefix


def test_round_trip(shard):
    """Records come back as they were, in order, with their texts."""
    records = list(read_shard(shard))
    assert [r.text for r in records] == ["first", ODD, ""]
    assert [r.text_at is None for r in records] == [False, False, True]
    assert (records[0].token_ns, records[0].id, records[2].id) == ((7, 9), 0, 2)


def test_an_empty_shard_has_no_records(tmp_path):
    ShardWriter(str(tmp_path / "s")).close()
    assert list(read_shard(str(tmp_path / "s"))) == []


def test_a_lone_surrogate_in_what_the_server_said_is_escaped(tmp_path):
    writer = ShardWriter(str(tmp_path / "s"))
    writer.add(record(error="bad \ud800", finish_reason="st\udfffop"))
    writer.close()
    (found,) = read_shard(str(tmp_path / "s"))
    assert (found.error, found.finish_reason, found.task) == ("bad \\ud800", "st\\udfffop", None)


def test_a_shard_cut_off_anywhere_is_void(shard, tmp_path):
    """Never a smaller run: each cut within a record is an error that says where."""
    path = tmp_path / "shard-1.records"
    raw = path.read_bytes()
    sizes, at = [], 0
    while at < len(raw):  # the length before each record
        sizes.append(at)
        at += 4 + int.from_bytes(raw[at : at + 4], "little")
    for cut in set(range(len(raw))) - set(sizes):
        path.write_bytes(raw[:cut])
        begun = max(start for start in sizes if start < cut)
        sentence = f"^the records of a load worker are cut off at byte {begun} of {cut}$"
        with pytest.raises(GeneratorError, match=sentence):
            list(read_shard(shard))


def test_a_damaged_record_is_void(shard, tmp_path):
    path = tmp_path / "shard-1.records"
    raw = bytearray(path.read_bytes())
    raw[4] = 0xC1  # never used in msgpack
    path.write_bytes(raw)
    with pytest.raises(GeneratorError, match="the records of a load worker are damaged at byte 0: "):
        list(read_shard(shard))


def test_a_missing_shard_is_void(tmp_path):
    with pytest.raises(GeneratorError, match=r"a load worker left no records: .*No such file"):
        list(read_shard(str(tmp_path / "none")))


def test_a_text_whose_folder_is_gone(shard, tmp_path):
    records = list(read_shard(shard))
    (tmp_path / "shard-1.texts").unlink()
    with pytest.raises(GeneratorError, match=r"texts can be read until the test session ends$"):
        _ = records[0].text


def test_answers_beyond_the_room_for_them_are_not_kept(tmp_path):
    """A run of days must not fill the disk; one that is short enough still goes in."""
    writer = ShardWriter(str(tmp_path / "full"), texts_bytes=30)
    places = [writer.add_text(text) for text in ("a" * 20, "b" * 20, "", "cc", "d")]
    writer.close()
    assert places == [0, NOT_KEPT, None, 24, NOT_KEPT]
    texts = ShardTexts(str(tmp_path / "full"))
    assert [texts.read(at) for at in (0, 24)] == ["a" * 20, "cc"]
    with pytest.raises(GeneratorError) as told:
        texts.read(NOT_KEPT)
    assert str(told.value) == (
        "this answer was not kept: those of its load worker had taken 1 GB; the figures are of all requests"
    )


def test_a_tail_gives_each_record_once_as_it_is_flushed(tmp_path):
    """What the writer still holds back comes later; the text of a record that came can be read."""
    prefix = str(tmp_path / "s")
    writer, tail = ShardWriter(prefix), ShardTail(prefix)
    writer.add(record(1, text_at=writer.add_text("first")))
    assert tail.read() == []
    writer.flush()
    writer.add(record(2, task="t"))
    (first,) = tail.read()
    assert (first.id, first.text) == (1, "first")
    assert tail.read() == []
    writer.close()
    writer.flush()  # as the thread that flushes does when it comes late
    (second,) = tail.read()
    assert (second.id, second.task) == (2, "t")


def test_a_tail_leaves_half_a_record_for_the_next_time(shard, tmp_path):
    """Cut anywhere, it gives the whole records, and after that the others."""
    path = tmp_path / "shard-1.records"
    raw = path.read_bytes()
    whole = [r.id for r in read_shard(shard)]
    for cut in range(0, len(raw), 3):
        path.write_bytes(raw[:cut])
        tail = ShardTail(shard)
        before = [r.id for r in tail.read()]
        path.write_bytes(raw)
        assert before + [r.id for r in tail.read()] == whole
        assert len(before) < 3


def test_a_tail_says_where_a_record_is_damaged(shard, tmp_path):
    path = tmp_path / "shard-1.records"
    raw = bytearray(path.read_bytes())
    second = 4 + int.from_bytes(raw[:4], "little")
    raw[second + 4] = 0xC1  # never used in msgpack
    path.write_bytes(raw)
    with pytest.raises(GeneratorError, match=f"a load worker are damaged at byte {second}: "):
        ShardTail(shard).read()
    path.unlink()
    with pytest.raises(GeneratorError, match=r"^a load worker's records cannot be read: .*No such file"):
        ShardTail(shard).read()
