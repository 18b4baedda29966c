"""What tells of an error in a log, and what does not: lines as real servers write them."""

from __future__ import annotations

import re

import pytest

from pytest_llmserve.observe.log_lines import shown
from pytest_llmserve.observe.log_patterns import DEFAULTS, TRACEBACK, LogRules, is_quiet, log_rules
from pytest_llmserve.observe.log_scan import Scanner

BAD = {
    "out of memory": [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capac",
        "torch.cuda.OutOfMemoryError: CUDA out of memory.",
        "RuntimeError: CUDA error: out of memory",
        "RuntimeError: MPS backend out of memory (MPS allocated: 18.0 GB)",
        "ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory",
        "ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 9332334592",
        "RuntimeError: HIP error: hipErrorOutOfMemory",
        "XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate",
        "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 8.00 GiB",
        "OSError: [Errno 12] Cannot allocate memory",
    ],
    "killed for want of memory": [
        "[1234.5] Out of memory: Killed process 4242 (python) total-vm:1kB",
        "Memory cgroup out of memory: Killed process 4242 (python)",
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null)",
        "[2026-11-21 10:00:00 +0000] [7] [ERROR] Worker (pid:9) was sent SIGKILL! Perhaps out of memory?",
    ],
    "panic": [
        "panic: runtime error: invalid memory address or nil pointer dereference",
        "2026/11/21 10:00:00 http: panic serving 127.0.0.1:5555: boom",
        "thread 'main' (4242) panicked at src/main.rs:4:5:",
    ],
    "crash": [
        "/build/ggml.c:123: GGML_ASSERT(n_dims > 0) failed",
        "terminate called after throwing an instance of 'std::runtime_error'",
        "Fatal Python error: Segmentation fault",
        "Segmentation fault (core dumped)",
        "!!!!!!! Segfault encountered !!!!!!! SIGSEGV",
    ],
    "worker died": ["INFO:     Child process [4242] died"],
    "NCCL error": [
        "RuntimeError: NCCL error in: ProcessGroupNCCL.cpp:1, unhandled system error, ncclSystemError",
        "[rank0]:[E] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1)",
    ],
    "KV cache full": [
        "WARNING 08-20 10:18:39 scheduler.py:1141] Sequence group 147 is preempted by PreemptionMode.RECO",
        "[2026-11-21 10:00:00 TP0] KV cache pool is full. Retract requests. #retracted_reqs: 1",
        "738.24.845.437 W srv        decode: failed to find free space in the KV cache, retrying with sma",
        "738.37.320.407 W decode: failed to find a memory slot for batch of size 1024",
    ],
    "decode failed": ["llama_decode: failed to decode, ret = -1"],
    "engine died": [
        "ERROR 04-28 02:37:03 [core.py:398] EngineCore encountered a fatal error.",
    ],
    "unhandled exception": [
        "ERROR:    Exception in ASGI application",
    ],
    "answer 5xx": [
        'INFO:     127.0.0.1:5555 - "POST /v1/chat/completions HTTP/1.1" 500 Internal Server Error',
        '(APIServer pid=1) INFO:     10.1.6.81:16983 - "POST /v1/messages?beta=true HTTP/1.1" 500 Interna',
        '127.0.0.1 - - [21/Nov/2026:10:00:00 +0000] "POST /x HTTP/1.1" 503 12 "-" "curl"',
        '[2026-11-21 10:00:00 +0000] [7] [INFO] 127.0.0.1:1 - - [21/Nov/2026:10:00:00] "POST /x 1.1" 500',
        '[GIN] 2026/11/21 - 10:00:00 | 500 |  1.2s |       127.0.0.1 | POST     "/api/generate"',
        "srv  log_server_r: done request: POST /v1/chat/completions 127.0.0.1 500",
        "0.51.940.248 I srv log_server_response: rid  | GET /x 127.0.0.1:42298 | status 503 | cost 6s",
        "INFO 2026-11-21 10:00:00,1 app ab 1 -- POST /generate 500 12.3ms",
    ],
    "GPU error": [
        "CUDA error: an illegal memory access was encountered",
    ],
    "traceback": [
        "(EngineCore_DP0 pid=697344) Traceback (most recent call last):",
    ],
}
HEALTHY = [
    'INFO:     127.0.0.1:5555 - "GET /errors HTTP/1.1" 200 OK',
    'INFO:     127.0.0.1:5555 - "POST /v1/chat/completions HTTP/1.1" 404 Not Found',
    "INFO 11-21 10:00:00 [loggers.py:116] Engine 000: GPU KV cache usage: 99.2%, error_rate=0.0",
    "log level: ERROR",
    "INFO:     Started server process [500]",
    "WARNING 11-21 10:00:00 If errors come, lower gpu_memory_utilization to avoid out of memory",
    "WARNING setting --mem 0.9 may run out of memory",
    "INFO 10-04 06:33:09 Received request: prompt: 'Traceback (most recent call last): \"POST /x\"', params",
    "0.00.129.365 I log_info: verbosity = 3 panicked at x",
    'time=2025-05-26T19:05:56.698Z level=INFO source=ggml.go:104 msg="out of memory guard on"',
    '{"level": "info", "msg": "prompt: SIGSEGV"}',
    '[GIN] 2026/11/21 - 10:00:00 | 200 |  5.0s |       127.0.0.1 | POST     "/api/generate"',
    "srv  log_server_r: done request: POST /v1/chat/completions 127.0.0.1 200",
    "0.51.940.248 I srv log_server_response: rid  | GET /v1/models 127.0.0.1:500 | status 200 | cost",
    "ggml_cuda_init: GGML_CUDA_FORCE_MMQ:    no",
    '127.0.0.1 - - [21/Nov/2026:10:00:00 +0000] "POST /x HTTP/1.1" 200 500 "-" "curl"',
    "cudaErrorSuccess returned",
    "INFO NCCL INFO NET/Plugin: Could not find: libnccl-net.so",
]


def scan(text, **rules):
    scanner = Scanner(log_rules(**rules))
    return [(hit.pattern, shown(hit.line)) for hit in [*scanner.scan(text), *scanner.end()]]


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in BAD.items() for line in lines])
def test_a_line_of_a_sick_server_is_found(name, line):
    """By the name of its kind."""
    assert scan(f"all is well\n{line}\nall is well\n") == [(name, line)]


def test_every_kind_has_an_example():
    """No pattern is there that no server is known to write."""
    assert set(BAD) == {pattern.name for pattern in DEFAULTS}


@pytest.mark.parametrize("line", HEALTHY)
def test_a_line_of_a_healthy_server_is_not(line):
    """Errors in paths, figures, prompts and advice."""
    assert scan(line + "\n") == []


@pytest.mark.parametrize(
    ("line", "quiet"),
    [
        ("INFO:     ready", True),
        ("2026-11-21 10:00:00,123 - app - DEBUG - ERROR is a word", True),
        ('{"ts": 1, "level": "info", "msg": "x"}', True),
        ("0.00.129.365 I srv init", True),
        ("time=10:00 level=DEBUG msg=x", True),
        ("ERROR 11-21 INFO is a word", False),
        ("0.00.129.365 E srv init: INFO", False),
        ('{"level": "error", "msg": "INFO"}', False),
        ("a line without a level", False),
        ("x" * 200 + " INFO", False),
    ],
)
def test_the_level_of_a_line_is_its_first_word_of_that_kind(line, quiet):
    """As loggers of many makes write it."""
    assert is_quiet(line) is quiet


TRACES = """\
(EngineCore pid=7) ERROR 11-21 10:00:09 [core.py:70] Traceback (most recent call last):
(EngineCore pid=7) ERROR 11-21 10:00:09 [core.py:70]   File "a.py", line 1, in step
(EngineCore pid=7) ERROR 11-21 10:00:10 [core.py:70]     run()
INFO:     127.0.0.1:5555 - "GET /health HTTP/1.1" 200 OK
(EngineCore pid=7) ERROR 11-21 10:00:10 [core.py:70] ValueError: bad shape
Traceback (most recent call last):
  File "b.py", line 2, in <module>
INFO: between
KeyboardInterrupt
"""


def test_a_traceback_is_told_with_its_exception():
    """Behind the same time, level or rank, with other lines between; cut at any line, the same."""
    first = "(EngineCore pid=7) ERROR 11-21 10:00:09 [core.py:70] Traceback (most recent call last):"
    expected = [
        (TRACEBACK, f"{first} \u2026 ValueError: bad shape"),
        (TRACEBACK, "Traceback (most recent call last): \u2026 KeyboardInterrupt"),
    ]
    lines = TRACES.splitlines(keepends=True)
    for cut in range(len(lines) + 1):
        scanner = Scanner(LogRules())
        hits = [*scanner.scan("".join(lines[:cut])), *scanner.scan("".join(lines[cut:]))]
        assert [(hit.pattern, hit.line) for hit in hits] == expected
        assert scanner.end() == []


def test_a_traceback_without_an_exception_is_told_all_the_same():
    """At the end of the test, when the next one begins, or when it has gone on for too long."""
    head = "Traceback (most recent call last):"
    assert scan(f"{head}\n  File a\n{head}\n  File b\n") == [(TRACEBACK, head)] * 2
    assert scan(f"{head}\n" + "  frame\n" * 500 + "ValueError: late\n") == [(TRACEBACK, head)]


def test_what_a_test_allows_does_not_count():
    """A traceback by its exception too; how many is known."""
    rules = log_rules(allow=[re.compile("bad shape"), re.compile("status 503")])
    scanner = Scanner(rules)
    assert [hit.pattern for hit in scanner.scan(TRACES)] == [TRACEBACK]
    assert scanner.scan("0.5 I srv: GET /health 127.0.0.1:1 | status 503 | cost 1s\n") == []
    assert scanner.allowed == 2


def test_patterns_of_the_user_come_first_and_only_alone():
    """At any level; the name is the expression."""
    line = "INFO CUDA out of memory, it took 12000 ms\n"
    own = re.compile(r"took \d{4,} ms")
    other = "SIGSEGV\n"
    assert [name for name, _ in scan(line + other, patterns=[own])] == [own.pattern, "crash"]
    assert [name for name, _ in scan(line + other, only=[own])] == [own.pattern]
