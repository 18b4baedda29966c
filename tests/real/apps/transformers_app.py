"""A small model behind FastAPI, as a first server of one's own looks: transformers on the CPU.

POST /generate {"prompt"} answers when all is written; POST /stream as it is written, as events; POST /lines
as lines of JSON.
"""

from __future__ import annotations

import argparse
import json
from threading import Thread

import torch
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from transformers import AutoModelForCausalLM, AutoTokenizer, TextIteratorStreamer

WAIT_S = 60


class Question(BaseModel):
    prompt: str
    max_tokens: int = Field(16, ge=1, le=256)


def app_of(folder: str) -> FastAPI:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    app = FastAPI()

    def started(question: Question) -> dict:
        talk = [{"role": "user", "content": question.prompt}]
        read = tokenizer.apply_chat_template(
            talk, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        return {**read, "max_new_tokens": question.max_tokens, "do_sample": False}

    def pieces(question: Question):
        streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=WAIT_S)
        writer = Thread(target=model.generate, kwargs={**started(question), "streamer": streamer})
        writer.start()
        yield from (piece for piece in streamer if piece)
        writer.join(WAIT_S)

    @app.post("/generate")
    def generate(question: Question):
        asked = started(question)
        (written,) = model.generate(**asked)
        new = written[asked["input_ids"].shape[1] :]
        return {"response": tokenizer.decode(new, skip_special_tokens=True)}

    @app.post("/stream")
    def stream(question: Question):
        events = (f"data: {json.dumps({'text': piece})}\n\n" for piece in pieces(question))
        return StreamingResponse(events, media_type="text/event-stream")

    @app.post("/lines")
    def lines(question: Question):
        rows = (json.dumps({"text": piece}) + "\n" for piece in pieces(question))
        return StreamingResponse(rows, media_type="application/x-ndjson")

    return app


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--folder", required=True)
    options.add_argument("--port", type=int, required=True)
    given = options.parse_args()
    uvicorn.run(app_of(given.folder), host="127.0.0.1", port=given.port)
