"""The smallest server a user might write: FastAPI, one path, no streaming."""

from __future__ import annotations

import argparse

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Question(BaseModel):
    prompt: str
    max_tokens: int = 16


@app.post("/generate")
def generate(question: Question) -> dict[str, str]:
    """Answer with the prompt's own words, backwards."""
    return {"response": " ".join(reversed(question.prompt.split()[: question.max_tokens]))}


def main() -> None:
    import uvicorn

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(app, host="127.0.0.1", port=parser.parse_args().port, log_level="warning")


if __name__ == "__main__":
    main()
