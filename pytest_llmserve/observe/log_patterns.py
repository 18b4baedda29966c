"""What lines of a server's log tell of an error. Pure.

Every default is a line that some server writes; they were read in its source or in a report of its users.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Pattern:
    """What a line of one kind has in it.

    Attributes:
        name: of the kind.
        regex: searched for in the line.
        needles: in lower case; a line that matches has one of them. Empty = every line is searched.
        any_level: lines that call themselves INFO or DEBUG count too.
    """

    name: str
    regex: re.Pattern[str]
    needles: tuple[str, ...] = ()
    any_level: bool = False


def _pattern(name: str, regex: str, *needles: str, any_level: bool = False) -> Pattern:
    return Pattern(name, re.compile(regex), needles, any_level)


TRACEBACK = "traceback"
WORKER_DIED = "worker died"
CRASHES = frozenset({"killed for want of memory", "crash", "engine died", WORKER_DIED})
"""Kinds of lines that tell of the end of a process."""

RECYCLED = re.compile(r"Maximum request limit of \d+ exceeded|Autorestarting worker after current request")
"""uvicorn and gunicorn: a worker ends as it was meant to, after so many requests."""

DEFAULTS: tuple[Pattern, ...] = (
    _pattern(
        "killed for want of memory",
        # Linux, its cgroups, systemd, Kubernetes, gunicorn.
        r"Killed process \d+|oom-kill|OOMKilled|killed by the OOM killer|was sent SIGKILL!",
        *("killed process", "oom-kill", "oomkilled", "oom killer", "sent sigkill!"),
    ),
    _pattern(
        "KV cache full",
        # vLLM, SGLang, llama.cpp before and now, Ollama.
        r"preempted by Preemption|KV cache pool is full|KV cache is full|Decode out of memory happened"
        r"|failed to find (?:free space in the KV cache|a memory slot)|could not find a kv cache slot",
        *("preempted by", "cache pool is full", "kv cache is full", "decode out of memory"),
        *("failed to find", "could not find a kv cache"),
    ),
    _pattern(
        "out of memory",
        # torch (CUDA, HIP, XPU, MPS), CUDA and HIP themselves, ggml, JAX, C++, Python. Advice is no error:
        # "to avoid out of memory", "may run out of memory".
        r"(?<!avoid )(?<!prevent )(?<!cause )(?<!causing )(?<!may run )(?<!might run )(?<!could run )"
        r"(?i:\bout[ -]of[ -]memory\b)|OutOfMemory|cudaErrorMemoryAllocation"
        r"|CUBLAS_STATUS_ALLOC_FAILED|std::bad_alloc|MemoryError\b"
        r"|(?i:failed to|unable to|cannot|can't) allocate",
        *(
            "out of memory",
            "out-of-memory",
            "outofmemory",
            "errormemoryallocation",
            "alloc_failed",
            "bad_alloc",
        ),
        *("memoryerror", "failed to allocate", "unable to allocate", "cannot allocate", "can't allocate"),
    ),
    _pattern(
        "NCCL error",
        r"NCCL [Ee]rror|\b(?:nccl|rccl)(?:UnhandledCuda|System|Internal|Remote|Unhandled)Error"
        r"|Watchdog caught collective operation timeout",
        *(
            "nccl error",
            "ncclunhandled",
            "ncclsystem",
            "ncclinternal",
            "ncclremote",
            "rccl",
            "watchdog caught",
        ),
    ),
    _pattern(
        "GPU error",
        r"(?:CUDA|HIP) error\b|\b(?:cuda|hip)Error(?!Success)[A-Z]\w+|NVRM: Xid"
        r"|CUBLAS_STATUS_(?!SUCCESS)[A-Z]|device-side assert triggered",
        *(
            "cuda error",
            "hip error",
            "cudaerror",
            "hiperror",
            "nvrm: xid",
            "cublas_status_",
            "device-side assert",
        ),
    ),
    _pattern(
        "crash",
        r"SIGSEGV|SIGABRT|SIGBUS|SIGILL|[Ss]egmentation fault|segfault at |core dumped|GGML_ASSERT\("
        r"|GGML_ABORT|terminate called|Fatal Python error|double free or corruption|stack smashing detected"
        r"|Bus error",
        *("sigsegv", "sigabrt", "sigbus", "sigill", "segmentation fault", "segfault at", "core dumped"),
        *("ggml_assert", "ggml_abort", "terminate called", "fatal python", "double free", "stack smashing"),
        "bus error",
    ),
    # uvicorn's supervisor, which says it at INFO.
    _pattern(WORKER_DIED, r"Child process \[\d+\] died", "child process [", any_level=True),
    _pattern(
        "panic",
        # Go, its HTTP server, Rust.
        r"\bpanic: |http: panic serving|panicked at |goroutine \d+ \[running\]",
        *("panic: ", "panic serving", "panicked at ", "goroutine "),
    ),
    _pattern(
        "engine died",
        # vLLM.
        r"EngineDeadError|EngineCore encountered|Engine core proc \S+ died|Background loop has errored",
        *("enginedeaderror", "enginecore encountered", "engine core proc", "background loop has errored"),
    ),
    _pattern(
        "decode failed",
        # llama.cpp; a server on top of it may then answer 200 with no text. 1 is no room, 2 was wished for.
        r"llama_decode: failed to decode, ret = -",
        "llama_decode: failed",
    ),
    _pattern(TRACEBACK, r"Traceback \(most recent call last\)", "traceback (most recent call last)"),
    _pattern(
        "unhandled exception",
        # uvicorn and hypercorn, Flask, aiohttp, Tornado, asyncio, threading.
        r"Exception in (?:ASGI|WSGI|thread|callback)|Error in ASGI Framework|Exception on \S+ \[[A-Z]+\]"
        r"|Error handling request|Uncaught exception|Task exception was never retrieved",
        *("exception in ", "error in asgi", "exception on ", "error handling request", "uncaught exception"),
        "task exception was never",
    ),
    _pattern(
        "answer 5xx",
        # The common log of uvicorn, gunicorn, hypercorn, nginx, aiohttp; Gin (Ollama); llama.cpp, twice; Ray.
        r'"[A-Z]{3,7} \S+(?: \S+)?" 5\d\d\b|^\[GIN\] [^|]*\| +5\d\d \||request: [A-Z]+ \S+ \S+ 5\d\d$'
        r"|\| status 5\d\d \|| -- [A-Z]{3,7} \S+ 5\d\d ",
        *('" 5', "[gin]", "request: ", "| status 5", " -- "),
        any_level=True,
    ),
)
"""Looked for in this order: a line has the name of the first that it matches."""

# The first word of this kind near the beginning of a line is taken for its level.
_LEVEL = re.compile(
    r"\b(?:(TRACE|DEBUG|INFO|NOTICE)|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b"
    r'|"?level(?:name)?"?[:=] ?"?(?:((?i:trace|debug|info|notice))|[A-Za-z])'
    r"|^[\d.]+ (?:([DI])|[WE]) "
)
_LEVEL_WITHIN = 120


def is_quiet(line: str) -> bool:
    """True for a line that calls itself INFO or DEBUG: it may hold a prompt, but reports no error."""
    level = _LEVEL.search(line, 0, _LEVEL_WITHIN)
    return level is not None and any(level.groups())


@dataclass(frozen=True)
class LogRules:
    """What counts in a log.

    Attributes:
        patterns: the first that a line matches counts it.
        allow: a line that matches one of these does not count.
    """

    patterns: tuple[Pattern, ...] = DEFAULTS
    allow: tuple[re.Pattern[str], ...] = ()

    def candidates(self, text: str) -> tuple[Pattern, ...]:
        """The patterns that lines of this text may match: cheap, where it is a healthy server's."""
        folded = text.lower()
        return tuple(
            p for p in self.patterns if not p.needles or any(needle in folded for needle in p.needles)
        )

    def allows(self, line: str) -> bool:
        """True where the test allows the line."""
        return any(regex.search(line) for regex in self.allow)


def log_rules(
    patterns: Sequence[re.Pattern[str]] = (),
    only: Sequence[re.Pattern[str]] = (),
    allow: Sequence[re.Pattern[str]] = (),
) -> LogRules:
    """The rules of one test.

    Args:
        patterns: count beside the defaults.
        only: count instead of them.
        allow: what they match does not count.
    """
    own = tuple(Pattern(regex.pattern, regex, any_level=True) for regex in (*patterns, *only))
    return LogRules(own if only else own + DEFAULTS, tuple(allow))


def match(patterns: Sequence[Pattern], line: str) -> tuple[Pattern, int] | None:
    """The first of these patterns that a line has, and where in it; None without one."""
    for pattern in patterns:
        found = pattern.regex.search(line)
        if found is not None and (pattern.any_level or not is_quiet(line)):
            return pattern, found.start()
    return None
