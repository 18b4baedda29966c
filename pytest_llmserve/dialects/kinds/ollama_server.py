"""Ollama: its own API, which tells counts and durations that its OpenAI one leaves out."""

from __future__ import annotations

from pytest_llmserve.dialects.known_paths import Place
from pytest_llmserve.dialects.probing import Asking, Choice, Detecting, listed_models, models_text

_GREETING = b"Ollama is running"


def detect(asking: Asking, place: Place) -> Detecting:
    """A list of models at /api/tags, https://docs.ollama.com/api/tags."""
    path = f"{place.base}/api/tags"
    listing = yield from asking.get(path)
    models = listed_models(listing.json)
    if models is None or "models" not in listing.json_object:
        return None
    because = asking.conclude(path, f"lists {models_text(models)}")
    return Choice(
        api="ollama-chat",
        path=place.base,
        models=models,
        because=because,
        fallbacks=("ollama-generate", "openai-chat"),
    )


def beside_openai(asking: Asking, place: Place, models: tuple[str, ...]) -> Detecting:
    """The same for a server that lists these models at /v1/models as well.

    Others have some paths of Ollama's (llama.cpp's /api/tags, KoboldCpp's /api/version) and are best asked
    as OpenAI's; only Ollama says at its root that it runs. The version goes first: it is small, and not
    there in nearly all others, where the root may be a whole web page.
    """
    version = f"{place.base}/api/version"
    told = yield from asking.get(version)
    if not isinstance(told.json_object.get("version"), str):
        return None
    root = f"{place.base}/"
    greeting = yield from asking.get(root)
    if greeting.status != 200 or greeting.body.strip() != _GREETING:
        return None
    asking.conclude(version, f"tells version {told.json_object['version'][:20]}")
    asking.conclude(root, "says that Ollama is running")
    because = (
        f"GET {root} says that Ollama is running, whose own API tells more than /v1; {models_text(models)}"
    )
    return Choice(
        api="ollama-chat", path=place.base, models=models, because=because, fallbacks=("openai-chat",)
    )
