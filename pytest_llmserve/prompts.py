"""Where prompts come from: conversations, files, texts of given lengths, and texts that begin alike.

All of it goes where a load takes prompts: ``llm_load(from_jsonl("questions.jsonl", "question"), users=4)``.
Described in docs/prompts.md.
"""

from __future__ import annotations

from pytest_llmserve.domain.entry import Conversation
from pytest_llmserve.load.lengths import of_lengths
from pytest_llmserve.load.prefixes import shared_prefix, with_system
from pytest_llmserve.load.sources import from_csv, from_jsonl, from_sharegpt, from_text

__all__ = [
    "Conversation",
    "from_csv",
    "from_jsonl",
    "from_sharegpt",
    "from_text",
    "of_lengths",
    "shared_prefix",
    "with_system",
]
