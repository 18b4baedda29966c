"""One small model, two jobs: it says how a text feels, and it chats.

Put your own model where `Model` is. With --shared-prompt it has a mistake on purpose, of the kind that no
test with one user finds: the prompt of the job is kept where all requests share it.
"""

import argparse
import asyncio
import contextlib
import socket
import subprocess
import sys
from typing import Literal

import httpx
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field


def turns(*said: str) -> list[dict[str, str]]:
    """The turns of a conversation that show how the job is done."""
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]


FEELING = "Say whether the feeling of the text is positive or negative. Answer with one word."
COMPANION = "You are a friendly companion. Answer in a whole sentence."
JOBS = {
    "sentiment": [
        {"role": "system", "content": FEELING},
        *turns("I love this film.", "positive", "The food was cold and bad.", "negative"),
        *turns("What a lovely day!", "positive", "I am sad and angry.", "negative"),
    ],
    "chat": [{"role": "system", "content": COMPANION}],
}
TOKENS = {"sentiment": 4, "chat": 20}


class Question(BaseModel):
    prompt: str = Field(max_length=4000)
    task: Literal["sentiment", "chat"] = "chat"
    temperature: float = Field(default=0.7, ge=0, le=2)


class Model:
    """The embedded model, in a process of its own that ends with this one."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "pytest_llmserve.serve.embedded", "--port", str(port)]
        self._process = subprocess.Popen(command)
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120)

    async def wait_until_loaded(self) -> None:
        """The port may refuse, and the model be loading, for some seconds."""
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                if (await self._client.get("/health")).status_code == 200:
                    return
            await asyncio.sleep(0.1)
        raise RuntimeError("the model has not been loaded within a minute")

    async def answer(self, messages: list[dict[str, str]], tokens: int, temperature: float) -> str:
        asked = {"messages": messages, "max_tokens": tokens, "temperature": temperature}
        answer = await self._client.post("/v1/chat/completions", json=asked)
        if answer.status_code != 200:
            raise HTTPException(502, "the model did not answer")
        return str(answer.json()["choices"][0]["message"]["content"])

    async def end(self) -> None:
        await self._client.aclose()
        self._process.terminate()
        self._process.wait(10)


class Jobs:
    """Hands questions to the model, four at a time.

    Attributes:
        current: the prompt of the last job that came. To answer with it is the mistake.
    """

    def __init__(self, model: Model, *, shared_prompt: bool) -> None:
        self._model, self._shared_prompt = model, shared_prompt
        self._slots = asyncio.Semaphore(4)
        self.current: list[dict[str, str]] = []

    async def answer(self, question: Question) -> str:
        self.current = JOBS[question.task]
        async with self._slots:  # meanwhile others come
            prompt = self.current if self._shared_prompt else JOBS[question.task]
            messages = [*prompt, {"role": "user", "content": question.prompt}]
            return await self._model.answer(messages, TOKENS[question.task], question.temperature)


def app_of(*, shared_prompt: bool) -> FastAPI:
    """The app; its model is started and ended with it."""

    @contextlib.asynccontextmanager
    async def life(app: FastAPI):
        model = Model()
        try:
            await model.wait_until_loaded()
            app.state.jobs = Jobs(model, shared_prompt=shared_prompt)
            yield
        finally:
            await model.end()

    app = FastAPI(lifespan=life)

    @app.post("/generate")
    async def generate(question: Question) -> dict[str, str]:
        return {"response": await app.state.jobs.answer(question)}

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--shared-prompt", action="store_true", help="the mistake")
    options = parser.parse_args()
    uvicorn.run(
        app_of(shared_prompt=options.shared_prompt), host="127.0.0.1", port=options.port, log_level="warning"
    )
