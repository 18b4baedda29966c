"""A Gradio app with known delays and errors, for Gradio 3 to 6: python gradio_app.py PORT."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

FIRST_S, NEXT_S = 0.3, 0.05
"""To the first word of a streamed answer, and from each to the next."""


def generate(prompt: str, max_tokens: float = 8) -> str:
    """Answer at once, after as long as the whole stream takes; "boom" and "gerr" are errors."""
    if prompt == "boom":
        raise ValueError("planted exception")
    if prompt == "gerr":
        raise gr.Error("planted gr.Error")
    time.sleep(FIRST_S)
    return " ".join(f"w{n}" for n in range(int(max_tokens)))


def stream(prompt: str, max_tokens: float = 8) -> Iterator[str]:
    """The text so far, word by word; "boom" is an error after two."""
    time.sleep(FIRST_S)
    text = ""
    for n in range(int(max_tokens)):
        if n:
            time.sleep(NEXT_S)
        if prompt == "boom" and n == 2:
            raise gr.Error("planted in the middle")
        text += f"t{n} "
        yield text


def pairs(prompt: str) -> Iterator[tuple[str, list[Any]]]:
    """A chat as most apps have it: an emptied text box, and the history, growing."""
    text = ""
    for word in ("you ", "said ", prompt):
        time.sleep(NEXT_S)
        text += word
        if int(gr.__version__.split(".")[0]) >= 5:
            yield "", [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]
        else:
            yield "", [(prompt, text)]


def label(prompt: str) -> dict[str, float]:
    """A classifier."""
    return {"POSITIVE": 0.9, "NEGATIVE": 0.1} if "good" in prompt else {"POSITIVE": 0.2, "NEGATIVE": 0.8}


def memory(prompt: str, seen: int | None, max_tokens: float) -> tuple[str, int]:
    """Keeps something for its user: a State stands among its inputs, which no caller gives."""
    return f"{prompt} {int(max_tokens)}", (seen or 0) + 1


def build() -> Any:
    """The app."""
    chat: dict[str, Any] = {"type": "messages"} if gr.__version__.startswith("5.") else {}
    with gr.Blocks() as app:
        prompt = gr.Textbox(label="prompt")
        most = gr.Slider(1, 64, value=8, step=1, label="max_tokens")
        text, box, history, kind = gr.Textbox(), gr.Textbox(), gr.Chatbot(**chat), gr.Label()
        gr.Button("generate").click(generate, [prompt, most], text, api_name="generate")
        gr.Button("stream").click(stream, [prompt, most], text, api_name="stream")
        gr.Button("pairs").click(pairs, prompt, [box, history], api_name="pairs")
        seen = gr.State()
        gr.Button("memory").click(memory, [prompt, seen, most], [text, seen], api_name="memory")
        gr.Button("label").click(label, prompt, kind, api_name="label")
    return app


def main() -> None:
    """Serve until the process is ended."""
    app = build()
    generation = int(gr.__version__.split(".")[0])
    if generation == 3:
        app.queue(concurrency_count=8, max_size=32)
    else:
        app.queue(default_concurrency_limit=8, max_size=32)
    app.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True)


if __name__ == "__main__":
    main()
