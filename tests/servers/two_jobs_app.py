"""One model with two jobs behind one path, chosen by a field: FastAPI, as a user would write it."""

from __future__ import annotations

import argparse
import time
from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Job(BaseModel):
    task: Literal["emotion", "chat"]
    text: str


@app.post("/infer")
def infer(job: Job) -> dict[str, str]:
    """Name the feeling, or answer, in a while, so that others ask meanwhile."""
    time.sleep(0.03)
    if job.task == "emotion":
        return {"output": "negative" if "hate" in job.text else "positive"}
    return {"output": f"Tell me more of: {job.text}"}


def main() -> None:
    import uvicorn

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(app, host="127.0.0.1", port=parser.parse_args().port, log_level="warning")


if __name__ == "__main__":
    main()
