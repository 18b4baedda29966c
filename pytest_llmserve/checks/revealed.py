"""What of its own inside a server lets out in an answer: stacks, and paths of its code. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass

LONGEST_CHARS = 262_144
"""As much of an answer is looked at."""
_SHOWN_CHARS = 80


@dataclass(frozen=True)
class Sign:
    """Text that no answer should have.

    Attributes:
        name: of its kind, for people.
        regex: that finds it.
        in_errors: it counts in no good answer.
    """

    name: str
    regex: re.Pattern[str]
    in_errors: bool = False


# An absolute path: behind none of what makes a part of a URL, a route, a pattern or a tag of it.
_PATH = r"(?:(?<![\w:/.#<}~%*-])|(?<=file://))"
_PART = r"(?:/[\w.+@~-]*\w)"
_ROOTS = (
    *(r"/home/[\w.-]+", "/root", "/tmp", "/workspace", "/Users/[\\w.-]+", r"/mnt/[\w.-]+", r"/opt/[\w.-]+"),
    *(
        "/usr/(?:local|lib\\w*|share|s?bin|src|include)",
        "/var/(?:lib|log|run|www|cache|tmp|opt|folders|task)",
    ),
    *("/private/(?:var|tmp)", "/dev/shm", "/etc"),
)
_APP = r"/(?:app|srv|code|data)(?!/(?:api|v\d+)\b)"
"""May as well be the beginning of a route: a path only with a file's ending, or several folders deep."""
_EXCEPTIONS = (
    "(?:Key|Type|Value|Attribute|Index|Runtime|Assertion|Name|OS|IO|FileNotFound|ZeroDivision|Overflow"
    "|Arithmetic|Lookup|Unicode(?:De|En)code|Recursion|Memory|NotImplemented|Import|ModuleNotFound"
    "|UnboundLocal|JSONDecode|Reference|Range)Error"
)

SIGNS: tuple[Sign, ...] = (
    Sign("a Python traceback", re.compile(r"Traceback \(most recent call last\)")),
    Sign("a Python stack", re.compile(r'File "[^"\n]{1,300}", line \d+')),
    Sign("a Go panic", re.compile(r"goroutine \d+ \[\w|\bpanic: runtime error|\.go:\d+ \+0x")),
    Sign("a Java stack", re.compile(r"\bat [\w.$]{3,200}\([\w$]{1,100}\.(?:java|kt|scala):\d+\)")),
    Sign("a .NET stack", re.compile(r"\bat [\w.`<>]{3,200}\([^)\n]{0,200}\) in [^\n]{1,200}:line \d+")),
    Sign("a C++ exception", re.compile(r"terminate called after throwing|\bwhat\(\):\s+\S")),
    Sign("a Rust panic", re.compile(r"panicked at [^\n]{0,200}\.rs:\d+")),
    Sign("a Node.js stack", re.compile(r"\bat [^\n(]{0,200}\(?(?:node:|file://|/)[^\s()]{1,200}:\d+:\d+\)?")),
    Sign("a Ruby stack", re.compile(r"\.rb:\d+:in [`']")),
    Sign("a place in C or C++ code", re.compile(r"/[\w.+-]+\.(?:c|cc|cpp|cu|cuh|h|hpp):\d+")),
    Sign(
        "a path of the server's code",
        re.compile(
            r"(?<![:/\w.])(?:/[\w.+@-]+){2,20}\.(?:py|pyx|so(?:\.\d+)*|dylib|jar|rs)\b"
            r"|\b[A-Z]:\\(?:[\w .+@-]+\\){1,20}[\w.+@-]+\.(?:py|pyx|dll|exe)\b"
        ),
    ),
    Sign(
        "a path of its machine",
        re.compile(
            rf"{_PATH}(?:(?:{'|'.join(_ROOTS)}){_PART}{{1,20}}"
            rf"|{_APP}(?:{_PART}{{0,20}}/[\w.+@~-]*\w\.[A-Za-z]\w{{0,7}}\b|{_PART}{{2,20}}))"
            r"|(?<![A-Za-z])[A-Z]:(?:\\[\w .+@~-]+\\|/(?:Users|Windows|Program Files)/)[\w.+@~-]+"
        ),
        in_errors=True,
    ),
    Sign(
        "an exception of its code",
        # Not where a validator lists its findings, 'error': ValueError(...): the text has to begin with it.
        re.compile(rf"(?:\A|(?<=[\"'\n>(])|(?<=\w )|(?<=\w: ))(?:\w+\.)*\b{_EXCEPTIONS}(?:\(['\"\d)]|: ?\S)"),
        in_errors=True,
    ),
)


def revealed(
    answer: bytes, sent: bytes, clean: Callable[[str], str] = str, *, named: str = "", good: bool = False
) -> str | None:
    """Say what an answer lets out that the input had not in it; None = nothing.

    Args:
        answer: its body, without the words that a model has made up.
        sent: the body of the request: what an answer repeats of it is not the server's.
        clean: takes secrets out of what is shown, before it is cut.
        named: what the client had named beside the body, such as the path.
        good: it is a good answer, in which a server may well name the file of its model.
    """
    text, said = plain(answer[:LONGEST_CHARS]), f"{plain(sent)} {named}"
    for sign in SIGNS:
        if good and sign.in_errors:
            continue
        for found in sign.regex.finditer(text):
            if found[0] not in said:
                return f"{sign.name}: {_shown(clean(text[found.start() :]))}"
    return None


_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "/": "/", "\\": "\\"}
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|([nrt"/\\]))')


def plain(data: bytes) -> str:
    """The text as it was before it was written into JSON or HTML."""
    text = data.decode("utf-8", "replace")
    text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else _ESCAPES[found[2]], text)
    return html.unescape(text) if "&" in text else text


def _shown(text: str) -> str:
    line = " ".join(text[: 2 * _SHOWN_CHARS].split())
    return repr(line if len(line) <= _SHOWN_CHARS else line[:_SHOWN_CHARS] + "...")
