"""How many workers are best here? The figures stand side by side at the end.

cd conftest_examples/workers && pytest
"""

import pytest


@pytest.mark.parametrize("llm_server", [1, 2, 4], indirect=True)
@pytest.mark.load(users=8, requests=400, warm_up="1s")
@pytest.mark.error_rate(max=0.05)
@pytest.mark.resources(rss_mb=2000)
def test_eight_users_are_served(llm_load, llm_server):
    llm_load(["one two three", "four five"])
    assert llm_server.alive


def test_it_answers(llm_endpoint):
    assert llm_endpoint.generate("one two three").text == "3 words"
