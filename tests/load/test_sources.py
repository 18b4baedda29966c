"""Prompts out of files: what is read, and what is told of a file that is wrong."""

import gzip
import json
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from pytest_llmserve.domain.entry import Conversation
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.load import source_files
from pytest_llmserve.load.source_endings import from_file, named_file
from pytest_llmserve.load.sources import from_csv, from_jsonl, from_sharegpt, from_text

CHAT = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
ANSWER = {"role": "assistant", "content": "a"}
SHARED = {
    "id": "x",
    "conversations": [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "Hi"},
        {"from": "gpt", "value": "Hello."},
        {"from": "human", "value": "Why?"},
    ],
}


@pytest.fixture
def file(tmp_path):
    """``file("a.jsonl", "text or bytes")`` -> its path; what ends in .gz is packed."""

    def write(name, content):
        data = content if isinstance(content, bytes) else content.encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def jsonl(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


ROW = {"question": "Q?", "answer_a": "A", "n": 5, "data": {"items": [{"text": "deep"}]}, "dotted.name": "d"}


@pytest.mark.parametrize(
    ("field", "prompt"),
    [
        (None, "Q?"),
        ("question", "Q?"),
        ("data.items.0.text", "deep"),
        ("dotted.name", "d"),
        ("{question}\nA: {answer_a} {{{n}}} {data.items.0.text}", "Q?\nA: A {5} deep"),
        ("{data.items}", '[{"text": "deep"}]'),
    ],
)
def test_a_field_or_a_template_is_the_prompt(file, field, prompt):
    assert from_jsonl(file("a.jsonl", jsonl(ROW)), field) == [prompt]


def test_lines_and_lists_packed_or_not_hold_the_same(file):
    """With a byte order mark, blank lines, no newline at the end, and what JSON leaves as it is in a text."""
    rows = [{"prompt": "one \u2028 \u0085 two"}, {"prompt": "three"}]
    told = ["one \u2028 \u0085 two", "three"]
    spaced = "\ufeff\r\n" + jsonl(*rows).replace("\n", "\r\n\r\n").rstrip()
    texts = [jsonl(*rows), spaced, json.dumps(rows), f" \n{json.dumps(rows, indent=2)}\n"]
    for number, text in enumerate(texts):
        assert from_jsonl(file(f"{number}.jsonl", text)) == told
        assert from_jsonl(file(f"{number}.jsonl.gz", text)) == told


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64])
def test_a_list_is_read_piece_by_piece(file, monkeypatch, chunk_bytes):
    """Wherever the pieces end, in a word of several bytes too."""
    monkeypatch.setattr(source_files, "_CHUNK_BYTES", chunk_bytes)
    rows = [{"prompt": f'naïve \U0001f600 ] , \\ " {number}', "n": [1.5e3, None]} for number in range(9)]
    path = file("a.json", json.dumps(rows, ensure_ascii=False, indent=1))
    assert from_jsonl(path) == [row["prompt"] for row in rows]


def test_messages_are_sent_as_they_are_without_the_answer_at_the_end(file):
    rows = [{"messages": CHAT}, {"messages": [*CHAT, ANSWER]}, {"messages": [*CHAT, ANSWER, CHAT[1], ANSWER]}]
    assert from_jsonl(file("a.jsonl", jsonl(*rows))) == [CHAT, CHAT, [*CHAT, ANSWER, CHAT[1]]]


@pytest.mark.parametrize("ending", ["jsonl", "json"])
def test_a_limit_reads_no_further(file, ending):
    """Of 30 MB the first rows: the broken end is not seen, and next to nothing is held."""
    row = {"prompt": "x" * 1000}
    text = jsonl(*[row] * 30_000) if ending == "jsonl" else f"[{','.join([json.dumps(row)] * 30_000)}"
    path = file(f"a.{ending}", text + "broken")
    tracemalloc.start()
    try:
        assert len(from_jsonl(path, limit=100)) == 100
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


def test_a_seed_draws_from_the_whole_file(file):
    """The same of the same seed, none twice, and each as likely as the others."""
    path = file("a.txt", "".join(f"{n}\n" for n in range(40)))
    drawn = [from_text(path, limit=10, seed=seed) for seed in range(200)]
    assert drawn[3] == from_text(path, limit=10, seed=3)
    assert all(len(set(each)) == 10 for each in drawn)
    often = Counter(int(n) for each in drawn for n in each)
    assert [25 < often[n] < 75 for n in range(40)] == [True] * 40, "50 of 200 on average"
    assert sorted(from_text(path, seed=1), key=int) == from_text(path) != from_text(path, seed=1)


def test_a_text_is_split_as_asked(file):
    path = file("a.txt", "one\r\n\r\n  two\nthree\n \n\n")
    assert from_text(path) == ["one", "  two", "three"]
    assert from_text(path, "paragraph") == ["one", "  two\nthree"]
    assert from_text(path, "file") == ["one\r\n\r\n  two\nthree\n \n\n"]


def test_a_table_is_read_by_its_columns(file):
    text = 'question,choice\n"What, ""now""?\nSay.",A\n\nWhy?,B\n'
    assert from_csv(file("a.csv", text)) == ['What, "now"?\nSay.', "Why?"]
    assert from_csv(file("b.tsv.gz", "q\tc\nx\ty\n"), "{q}-{c}") == ["x-y"]
    assert from_csv(file("c.csv", "q;c\nx;y\n"), "c", delimiter=";") == ["y"]


def test_conversations_are_what_the_user_says(file):
    """In a list or in lines; under either name; without those in which the user says nothing."""
    found = Conversation(["Hi", "Why?"], "Be brief.")
    silent = {"conversations": [{"from": "gpt", "value": "Hello?"}]}
    assert from_sharegpt(file("a.json", json.dumps([SHARED, silent]))) == [found]
    assert from_sharegpt(file("a.jsonl", jsonl(silent, SHARED)), turns=1) == [
        Conversation(["Hi"], "Be brief.")
    ]
    assert from_sharegpt(file("b.jsonl", jsonl({"messages": [*CHAT, ANSWER, CHAT[1]]}))) == [
        Conversation(["u", "u"], "s")
    ]


@pytest.mark.parametrize(
    ("named", "split"),
    [
        ("q.jsonl", ("q.jsonl", None)),
        ("q.jsonl:question", ("q.jsonl", "question")),
        ("a:b/q.CSV.gz:{a}: {b}", ("a:b/q.CSV.gz", "{a}: {b}")),
        ("q.parquet:x", ("q.parquet:x", None)),
    ],
)
def test_a_field_stands_behind_the_ending(named, split):
    assert named_file(named) == split


def test_the_ending_chooses_the_form(file):
    assert from_file(file("a.json", json.dumps([SHARED]))) == [Conversation(["Hi", "Why?"], "Be brief.")]
    assert from_file(file("b.json", json.dumps([ROW])), "answer_a") == ["A"]
    assert from_file(file("c.txt", "one\ntwo\n"), limit=1) == ["one"]
    assert from_file(file("d.v2.csv", "question\nx\n")).source == "d.v2.csv"


FAULTS = [
    (from_jsonl, "a.jsonl", "", {}, ": holds no prompt: check the path, or what the file was made from"),
    (from_jsonl, "a.json", "[]", {}, ": holds no prompt: check the path, or what the file was made from"),
    (
        from_jsonl,
        "a.jsonl",
        '{"prompt": "x"}\n\n{"prompt": x}\n',
        {},
        ", line 3: not JSON: Expecting value at character 12; write one JSON object a line, or one list",
    ),
    (
        from_jsonl,
        "a.jsonl",
        '{"prompt": "x"}\n{"prompt": "y"\n',
        {},
        ", line 2: not JSON: the line ends too early (Expecting ',' delimiter);"
        " write one JSON object a line, or one list",
    ),
    (
        from_jsonl,
        "a.jsonl",
        "{" + '"a":{' * 100_000,
        {},
        ", line 1: not JSON: nested too deep; write one JSON object a line, or one list",
    ),
    (
        from_jsonl,
        "a.jsonl",
        b'{"prompt": "x"}\n{"prompt": "\xe9"}\n',
        {},
        ", line 2: not UTF-8: byte 0xe9; save the file as UTF-8",
    ),
    (
        from_jsonl,
        "a.json",
        b'[\n{"prompt": "\xe9"}]',
        {},
        ", line 2: not UTF-8: byte 0xe9; save the file as UTF-8",
    ),
    (
        from_jsonl,
        "a.json",
        '[\n{"prompt": "x"},\n{"prompt":\n y}\n, {"prompt": "a long one behind it"}]',
        {},
        ", line 4: not JSON: Expecting value; mend it there, or write one JSON object a line",
    ),
    (
        from_jsonl,
        "a.json",
        '[{"prompt": "x"}\n{"prompt": "y"}]',
        {},
        ", line 2: not JSON: '{' where a comma or ] belongs",
    ),
    (
        from_jsonl,
        "a.json",
        '[{"prompt": "x"}',
        {},
        ", line 1: not JSON: the file ends in the middle of its list: was it cut off? get it anew",
    ),
    (
        from_sharegpt,
        "a.json",
        "[",
        {},
        ", line 1: not JSON: the file ends in the middle of its list: was it cut off? get it anew",
    ),
    (
        from_sharegpt,
        "a.json",
        '[\n{"conversations": [{"from": "human", "value": "Hi',
        {},
        ", line 2: not JSON: the file ends in the middle of its list: was it cut off? get it anew",
    ),
    (
        from_jsonl,
        "a.jsonl",
        '{"q": "x", "r": 1}\n',
        {},
        ", line 1: has none of the fields messages, prompt, question, text, input, instruction:"
        " name one with field=; it has q, r",
    ),
    (
        from_jsonl,
        "a.jsonl",
        '{"q": "x"}\n{"r": {"s": 1}}\n',
        {"field": "q"},
        ", line 2: has no field 'q': it has r",
    ),
    (
        from_jsonl,
        "a.jsonl",
        "5\n",
        {"field": "q"},
        ", line 1: has no field 'q': it is 5, no object with fields",
    ),
    (
        from_jsonl,
        "a.jsonl",
        '{"q": 5}\n',
        {"field": "q"},
        ", line 1: field 'q' is 5: a prompt is a text or a list of chat messages;"
        ' the template "{q}" makes a text of anything',
    ),
    (
        from_jsonl,
        "a.jsonl",
        '{"q": " "}\n',
        {"field": "q"},
        ", line 1: field 'q' is empty: leave the row out",
    ),
    (
        from_jsonl,
        "a.jsonl",
        '{"messages": [{"role": "assistant", "content": "x"}]}\n',
        {},
        ", line 1: field 'messages' holds answers and no question: leave the row out",
    ),
    (from_csv, "a.csv", "\na,b\n1,2\n", {"field": "c"}, ", line 2: has no field 'c': it has a, b"),
    (
        from_csv,
        "a.csv",
        "question;b\nx;2\n",
        {},
        ", line 1: has none of the fields messages, prompt, question, text, input, instruction: name one with"
        " field=; it has question;b; the first row has no ',' but ';': give delimiter=';',"
        " or save it with commas",
    ),
    (
        from_csv,
        "a.csv",
        "a,b\n1,2,3\n",
        {"field": "a"},
        ", line 2: has 3 cells, and the first row 2: put cells with a ',' in quotes",
    ),
    (
        from_csv,
        "a.csv",
        'a,b\n"1"x,2\n',
        {"field": "a"},
        ", line 2: not a table: ',' expected after '\"'; or write it as JSON lines",
    ),
    (from_text, "a.txt", "\n \n", {}, ": holds no prompt: check the path, or what the file was made from"),
    (
        from_sharegpt,
        "a.jsonl",
        '{"q": 1}\n',
        {},
        ', line 1: has no "conversations" and no "messages": it has q',
    ),
    (
        from_sharegpt,
        "a.jsonl",
        '{"conversations": [{"from": "cat", "value": "x"}]}\n',
        {},
        ", line 1: conversations[0] is from 'cat': known are human, user, gpt, assistant and system",
    ),
    (
        from_sharegpt,
        "a.jsonl",
        '{"conversations": [{"from": "gpt", "value": "x"}]}\n',
        {},
        ": holds no prompt: in its one conversation the user says nothing: what counts is from human or user",
    ),
    (
        from_sharegpt,
        "a.jsonl",
        '{"conversations": [{"from": "gpt", "value": "x"}]}\n{"conversations": []}\n',
        {},
        ": holds no prompt: in none of its 2 conversations the user says anything: what counts is from human"
        " or user",
    ),
    (
        from_sharegpt,
        "a.jsonl",
        '{"conversations": [{"from": "human"}]}\n',
        {},
        ', line 1: conversations[0] has no text: write it under "value", or "content"',
    ),
]


@pytest.mark.parametrize(("read", "name", "content", "given", "told"), FAULTS)
def test_a_wrong_file_is_told_with_its_line(file, read, name, content, given, told):
    path = file(name, content)
    with pytest.raises(SetupError) as caught:
        read(path, **given)
    assert str(caught.value) == f"prompts {path}{told}"


def test_a_file_that_cannot_be_read_says_why(file, tmp_path):
    torn = tmp_path / "torn.jsonl.gz"
    torn.write_bytes(gzip.compress(b'{"prompt": "x"}\n' * 100)[:30])
    plain = tmp_path / "plain.gz"
    plain.write_bytes(b"text")
    unpacked = "pack it anew, or take the ending .gz away"
    for read, path, told in (
        (from_jsonl, tmp_path / "none.jsonl", "cannot be read: No such file or directory; check the path"),
        (from_text, tmp_path, "cannot be read: Is a directory; check the path"),
        (
            from_jsonl,
            torn,
            "cannot be unpacked: Compressed file ended before the end-of-stream marker was reached;"
            f" {unpacked}",
        ),
        (from_text, plain, f"cannot be unpacked: Not a gzipped file (b'te'); {unpacked}"),
        (from_file, Path("a.parquet"), "the ending must be one of .jsonl, .ndjson, .json, .csv, .tsv, .txt"),
    ):
        with pytest.raises(SetupError) as caught:
            read(path)
        assert str(caught.value) == f"prompts {path}: {told}"
    with pytest.raises(SetupError, match=r"c.txt: a text has no field 'x': leave it out$"):
        from_file(file("c.txt", "x"), "x")


@pytest.mark.parametrize(
    ("read", "given", "told"),
    [
        (
            from_jsonl,
            {"limit": 0},
            "from_jsonl: limit is 0: give how many prompts are wanted, a whole number from 1 on",
        ),
        (from_text, {"split": "word"}, "from_text: split is 'word': give one of line, paragraph, file"),
        (from_sharegpt, {"turns": True}, "from_sharegpt: turns is True: give a whole number from 1 on"),
        (from_csv, {"delimiter": ", "}, "from_csv: delimiter is ', ': give one character"),
        (
            from_jsonl,
            {"field": "{a"},
            "from_jsonl: the template '{a' cannot be read: expected '}' before end of string;"
            " a brace itself is {{ or }}",
        ),
        (
            from_jsonl,
            {"field": "{a:5}"},
            "from_jsonl: the template '{a:5}' cannot be read: a brace holds the name of a field and nothing"
            " else; a brace itself is {{ or }}",
        ),
    ],
)
def test_a_wrong_argument_is_told_before_the_file_is_looked_for(read, given, told):
    with pytest.raises(SetupError) as caught:
        read("/nowhere/a.jsonl", **given)
    assert str(caught.value) == told
