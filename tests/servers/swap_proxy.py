"""A proxy that now and then gives two clients each other's answer.

``python tests/servers/swap_proxy.py --upstream http://127.0.0.1:8000 --port 0 --port-file F --share 0.1``

Answers are read to their end before they are passed on. One that is picked waits until the next answer to
another question has come; then both go to the wrong client. With --share 0 nothing is exchanged.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response

WAIT_LIMIT_S = 20.0
_HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


class Swapper:
    """Holds at most one answer back, for a partner."""

    def __init__(self, share: float, seed: int) -> None:
        self._share = share
        self._random = random.Random(seed)
        self._waiting: tuple[Response, asyncio.Future[Response]] | None = None

    async def swapped(self, answer: Response) -> Response:
        """The answer, or that of another client."""
        if self._waiting is not None:
            other, partner = self._waiting
            self._waiting = None
            partner.set_result(answer)
            return other
        if self._random.random() >= self._share:
            return answer
        partner = asyncio.get_running_loop().create_future()
        self._waiting = answer, partner
        try:
            return await asyncio.wait_for(partner, WAIT_LIMIT_S)
        except TimeoutError:
            self._waiting = None
            return answer


def app_of(upstream: str, share: float, seed: int) -> FastAPI:
    app = FastAPI(openapi_url=None)
    client = httpx.AsyncClient(base_url=upstream, timeout=120)
    swapper = Swapper(share, seed)

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def forward(path: str, request: Request) -> Response:
        asked: dict[str, Any] = {"headers": _passed_on(request.headers.items())}
        found = await client.request(request.method, f"/{path}", content=await request.body(), **asked)
        answer = Response(found.content, found.status_code, _passed_on(found.headers.items()))
        swaps = request.method == "POST" and found.status_code == 200
        return await swapper.swapped(answer) if swaps else answer

    return app


def _passed_on(headers: Any) -> dict[str, str]:
    # The client of this proxy unpacks bodies.
    return {k: v for k, v in headers if k.lower() not in {*_HOP_BY_HOP, "content-encoding"}}


class Server(uvicorn.Server):
    """Writes its port once it listens."""

    def __init__(self, config: uvicorn.Config, port_file: str | None) -> None:
        super().__init__(config)
        self._port_file = port_file

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self._port_file is not None:
            fresh = Path(self._port_file + ".new")
            fresh.write_text(str(self.servers[0].sockets[0].getsockname()[1]))
            fresh.replace(self._port_file)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file")
    parser.add_argument("--share", type=float, default=0.1, help="of the answers that wait for a partner")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    app = app_of(options.upstream, options.share, options.seed)
    config = uvicorn.Config(app, host="127.0.0.1", port=options.port, log_level="warning")
    Server(config, options.port_file).run()


if __name__ == "__main__":
    main()
