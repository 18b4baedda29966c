"""A server that repeats all it is told, wherever it can: ``python tests/servers/telltale.py PORT LOG``.

Speaks OpenAI chat, streamed or not. A word of the prompt says how it answers: in an answer, in an error as
JSON, HTML, plain text or an event, or in half an event. Headers and prompts go into its log.
"""

from __future__ import annotations

import base64
import html
import json
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ANSWER = "amber herons answered at planted noon"
SCRIPT = "<script>document.title='planted'</script>"


def repeated(handler: BaseHTTPRequestHandler) -> str:
    """The secret headers, as they came and in other forms."""
    sent = [value for name, value in handler.headers.items() if name in {"Authorization", "X-Team-Key"}]
    return " ".join(sent)


class Telltale(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    log: Path

    def do_GET(self) -> None:
        """The list of models; everything else is not there."""
        if self.path != "/v1/models":
            self.reply(404, "application/json", json.dumps({"error": f"no {self.path}"}))
            return
        data = [{"id": "model-`" + SCRIPT, "object": "model"}]
        self.reply(200, "application/json", json.dumps({"object": "list", "data": data}))

    def do_POST(self) -> None:
        """An answer of the kind that the prompt names."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = "\n".join(str(message["content"]) for message in body["messages"])
        heard = f"{said} {body.get('user', '')} {repeated(self)}"
        with self.log.open("a") as log:
            log.write(f"INFO asked: {heard}\nERROR: {SCRIPT} CUDA out of memory for {heard!r}\n")
            try:
                raise RuntimeError(heard)
            except RuntimeError:
                log.write(traceback.format_exc())
        kinds = {"as-json": self.say_as_json, "as-page": self.say_as_page, "as-text": self.say_as_text}
        kinds |= {"as-event": self.say_as_event, "torn": self.say_torn}
        say = next((way for word, way in kinds.items() if word in said), self.say)
        say(heard, bool(body.get("stream")))

    def say(self, heard: str, stream: bool) -> None:
        """An answer that holds all of it."""
        text = f"{ANSWER}: {heard} {SCRIPT}"
        reason = f"stopped at {ANSWER} of {heard}" if "as-reason" in heard else "stop"
        if not stream:
            choice = {"message": {"role": "assistant", "content": text}, "finish_reason": reason}
            self.reply(200, "application/json", json.dumps({"choices": [choice]}))
            return
        pieces = [{"choices": [{"delta": {"content": word + " "}}]} for word in text.split(" ")]
        self.events([*pieces, {"choices": [{"delta": {}, "finish_reason": reason}]}])

    def say_as_json(self, heard: str, stream: bool) -> None:
        """400 with the prompt in its message."""
        message = f"cannot answer {heard!r} {SCRIPT}"
        self.reply(400, "application/json", json.dumps({"error": {"message": message}}))

    def say_as_page(self, heard: str, stream: bool) -> None:
        """500 as a page."""
        self.reply(500, "text/html", f"<html><h1>Fault</h1><p>{html.escape(heard)}</p></html>")

    def say_as_text(self, heard: str, stream: bool) -> None:
        """400 as plain text."""
        self.reply(400, "text/plain", f"bad request: {json.dumps(heard)}")

    def say_as_event(self, heard: str, stream: bool) -> None:
        """An answer, then an error within the stream."""
        begun = {"choices": [{"delta": {"content": ANSWER}}]}
        self.events([begun, {"error": {"message": f"stopped at {ANSWER} of {heard}"}}])

    def say_torn(self, heard: str, stream: bool) -> None:
        """An event that is no JSON."""
        self.events([], '{"choices": [{"delta": {"content": "' + f"{ANSWER} {heard}" + '"')

    def events(self, pieces: list[dict[str, Any]], torn: str | None = None) -> None:
        """A stream of them."""
        lines = [*map(json.dumps, pieces), *([] if torn is None else [torn]), "[DONE]"]
        self.reply(200, "text/event-stream", "".join(f"data: {line}\n\n" for line in lines))

    def reply(self, status: int, kind: str, text: str) -> None:
        """With headers that repeat the key too."""
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Heard", base64.b64encode(repeated(self).encode()).decode())
        self.send_header("X-Served-By", repeated(self) or "nobody")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Its log is its own."""


if __name__ == "__main__":
    Telltale.log = Path(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Telltale).serve_forever()
