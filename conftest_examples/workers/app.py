"""A model server that may have several worker processes: uvicorn app:app --workers 2."""

import time

from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()

# Each worker process has its own copy, as it would have of real weights.
WEIGHTS = bytearray(b"\x01") * 40_000_000
WORK_S = 0.02


class Question(BaseModel):
    prompt: str = Field(max_length=4000)


@app.post("/ask")
def ask(question: Question) -> dict[str, str]:
    """Work that keeps one core busy, and all other threads of this process waiting."""
    until = time.thread_time() + WORK_S
    place = 0
    while time.thread_time() < until:
        place = (place + WEIGHTS[place]) % len(WEIGHTS)
    return {"response": f"{len(question.prompt.split())} words"}
