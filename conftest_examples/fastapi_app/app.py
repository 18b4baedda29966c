"""A model server of one's own: FastAPI, one path. Put your model where `answer` is."""

import argparse

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()


class Question(BaseModel):
    prompt: str = Field(max_length=4000)
    max_tokens: int = Field(default=32, ge=1, le=512)


def answer(prompt: str, max_tokens: int) -> str:
    """Say the prompt backwards."""
    return " ".join(reversed(prompt.split()[-max_tokens:]))


@app.post("/generate")
def generate(question: Question) -> dict[str, str]:
    return {"response": answer(question.prompt, question.max_tokens)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(app, host="127.0.0.1", port=parser.parse_args().port, log_level="warning")
