"""Figures from packed values are those that plain tuples give."""

import math
import random
import subprocess
import sys

import pytest

from pytest_llmserve.domain.gaps import MANY, gather
from pytest_llmserve.domain.metrics import Distribution, chunks_between, distribution, itl_ms
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.stamps import token_stamps


def record(*token_ns):
    return RequestRecord(**dict.fromkeys(RequestRecord.__struct_fields__) | {"token_ns": token_ns})


@pytest.mark.parametrize("n", [1, 2, 20, 999, MANY + 9_999])
@pytest.mark.parametrize("failed", [0, 3])
def test_packed_or_not_the_figures_are_the_same(n, failed):
    """Percentiles are exact values of the sample, by every way of keeping it."""
    source = random.Random(n)
    gaps_ns = [round(source.expovariate(1 / 20e6)) for _ in range(n)]
    plain = Distribution(tuple(sorted(gap / 1e6 for gap in gaps_ns)), failed)
    as_array = distribution((gap / 1e6 for gap in gaps_ns), failed)
    as_gaps = Distribution(gather(token_stamps((5, 5 + gap)) for gap in gaps_ns).ordered(), failed)
    for found in (as_array, as_gaps):
        quantiles = [found.quantile(q / 1000) for q in range(1, 1001)]
        assert quantiles == [plain.quantile(q / 1000) for q in range(1, 1001)]
        assert (found.n, found.min, found.max) == (plain.n, plain.min, plain.max)
        for limit_ms in (0.0, plain.p50, plain.max, 1e9):
            assert found.share_within(limit_ms) == plain.share_within(limit_ms)
        assert found.mean == pytest.approx(plain.mean, rel=1e-12)
        assert found.summary() == plain.summary()


def test_nothing_has_no_figures():
    assert all(map(math.isnan, (itl_ms([]).p50, itl_ms([record(5)]).mean, itl_ms([]).max)))


def test_chunks_are_counted_where_they_arrived():
    """Each in [edge, next edge), also those that a clock set back has put out of order."""
    assert chunks_between(record(10, 20, 20, 30), (10, 20, 30)) == [1, 2]
    assert chunks_between(record(10, 30, 20), (0, 15, 25, 31)) == [1, 1, 1]
    assert chunks_between(record(), (0, 9)) == [0]
    edges = (10, 20, 30)  # before, at, between and after them
    assert [chunks_between(record(first, first + 4), edges) for first in (0, 5, 10, 15, 16, 26, 30)] == [
        *([0, 0], [0, 0], [2, 0], [2, 0], [1, 1], [0, 1], [0, 0])
    ]
    assert chunks_between(record(5, 9, 35), edges) == [0, 0]


def test_small_runs_do_not_wait_for_numpy():
    """Its import takes longer than the figures of a small run."""
    program = (
        "import sys; from pytest_llmserve.domain.gaps import gather;"
        "from pytest_llmserve.domain.metrics import Distribution;"
        "from pytest_llmserve.domain.stamps import token_stamps;"
        "found = Distribution(gather([token_stamps(range(0, 10_000_000, 500_000))]).ordered());"
        "assert (found.p99, found.mean, found.n) == (0.5, 0.5, 19);"
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
