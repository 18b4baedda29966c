"""LitServe with its OpenAI specification: words come back one by one."""

from __future__ import annotations

import argparse
import time

import litserve


class Words(litserve.LitAPI):
    def setup(self, device):
        """No model: what is tested is the server around it."""

    def predict(self, request):
        if request.messages[-1].content.startswith("fail"):
            raise RuntimeError("told to fail")
        for word in request.messages[-1].content.split():
            time.sleep(0.01)
            yield word + " "


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, required=True)
    api = Words(spec=litserve.OpenAISpec())
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=options.parse_args().port, generate_client_file=False)
