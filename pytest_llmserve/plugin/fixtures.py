"""The fixtures. Session scope, so that hypothesis takes them; what is heavy is imported when used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_llmserve.plugin.endpointface import EndpointFace
    from pytest_llmserve.plugin.faces import LoadFace, ResourcesFace, TasksFace
    from pytest_llmserve.plugin.serverface import ServerFace
    from pytest_llmserve.serve.endpoint import Endpoint


@pytest.fixture(scope="session")
def llm_endpoint(request: pytest.FixtureRequest) -> Iterator[EndpointFace]:
    """The server under test: .url .api .model .generate() .stream() .send() .is_alive()."""
    from pytest_llmserve.plugin.endpointface import EndpointFace
    from pytest_llmserve.plugin.options import require_server
    from pytest_llmserve.plugin.state import state_of

    require_server(request.config)  # asked for by getfixturevalue(), no hook has seen it
    state = state_of(request.config)
    face = EndpointFace(state)
    state.follow(face.forget)
    state.open_quietly()
    yield face
    state.close_server()


@pytest.fixture(scope="session")
def llm_load(llm_endpoint: Endpoint, request: pytest.FixtureRequest) -> LoadFace:  # noqa: ARG001 - order
    """The load generator; call it with prompts and keywords such as users=20, duration="60s"."""
    from pytest_llmserve.plugin.faces import LoadFace
    from pytest_llmserve.plugin.state import state_of

    return LoadFace(state_of(request.config))


@pytest.fixture(scope="session")
def llm_tasks(llm_endpoint: Endpoint, request: pytest.FixtureRequest) -> TasksFace:  # noqa: ARG001 - order
    """A mix of named tasks, each with a check; call it with tasks and keywords such as users=8."""
    from pytest_llmserve.plugin.faces import TasksFace
    from pytest_llmserve.plugin.state import state_of

    return TasksFace(state_of(request.config))


@pytest.fixture(scope="session")
def llm_resources(llm_endpoint: Endpoint, request: pytest.FixtureRequest) -> ResourcesFace:  # noqa: ARG001
    """The sampler of the server's processes: .samples .peak("rss_mb") .window()."""
    from pytest_llmserve.plugin.faces import ResourcesFace
    from pytest_llmserve.plugin.state import state_of

    return ResourcesFace(state_of(request.config))


@pytest.fixture(scope="session")
def llm_server(llm_endpoint: Endpoint, request: pytest.FixtureRequest) -> ServerFace:  # noqa: ARG001
    """The process behind the endpoint, when known: .pid .log .restart() .recovers() .stop() .stacks()."""
    from pytest_llmserve.plugin.serverface import ServerFace
    from pytest_llmserve.plugin.state import state_of

    state = state_of(request.config)
    opened = state.open()
    if opened.server is None:
        pytest.skip(f"the server's process is not known: {opened.why}")
    return ServerFace(state)
