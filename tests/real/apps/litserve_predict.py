"""LitServe as its first example has it: POST /predict, one JSON in, one out."""

from __future__ import annotations

import argparse
import time

import litserve


class Backwards(litserve.LitAPI):
    def setup(self, device):
        """No model: what is tested is the server around it."""

    def decode_request(self, request):
        return request["input"]

    def predict(self, text):
        time.sleep(0.02)
        return " ".join(reversed(text.split()))

    def encode_response(self, output):
        return {"output": output}


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, required=True)
    server = litserve.LitServer(Backwards(), accelerator="cpu")
    server.run(host="127.0.0.1", port=options.parse_args().port, generate_client_file=False)
