"""text-generation-inference: its own API, of which /info tells."""

from __future__ import annotations

from pytest_llmserve.dialects.known_paths import Place
from pytest_llmserve.dialects.probing import Asking, Choice, Detecting


def detect(asking: Asking, place: Place) -> Detecting:
    """A model_id at /info, https://huggingface.github.io/text-generation-inference.

    text-embeddings-inference has one too, beside a "model_type", and generates nothing. Newer versions
    list their model at /v1/models, and are asked as OpenAI's before.
    """
    path = f"{place.base}/info"
    info = (yield from asking.get(path)).json_object
    model = info.get("model_id")
    if not isinstance(model, str) or "model_type" in info:
        return None
    because = asking.conclude(path, f"tells model_id {model}")
    return Choice(api="tgi", path=place.base, models=(model,), because=because, fallbacks=("openai-chat",))
