"""Prompts such as people write."""

from __future__ import annotations

from hypothesis import strategies as st

TOPICS = (
    "tea",
    "the moon",
    "a bicycle",
    "winter",
    "the number seven",
    "honey bees",
    "a small library",
    "sea salt",
    "the postal service",
    "volcanoes",
)

FORMS = (
    "Say one sentence about {}.",
    "What is {}?",
    "Write a short poem about {}.",
    "Explain {} to a child of six.",
    "Why do people like {}? Name two reasons.",
    "Hi! Could you tell me something about {}, please?",
    "Translate into French: I have read a book about {}.",
    "Summarize in five words: A friend wrote to me about {}, and I have not answered yet.",
    'Is this positive or negative? "I cannot stop thinking about {}."',
    "Make a list of three questions about {}.",
)

IN_OTHER_LANGUAGES = (
    "Erzähl mir in einem Satz etwas über den Mond.",
    "Quelle est la capitale de la France ?",
    "¿Por qué el cielo es azul?",
    "Расскажи короткую историю о зиме.",
    "请用一句话介绍茶。",
    "月について一文で教えてください。",
    "ما هي عاصمة مصر؟",
    "चाय के बारे में एक वाक्य लिखिए।",
)


def prompts() -> st.SearchStrategy[str]:
    """Plain questions and requests of one or two sentences, in English and in other languages."""
    english = st.tuples(st.sampled_from(FORMS), st.sampled_from(TOPICS)).map(_asked)
    return st.one_of(english, st.sampled_from(IN_OTHER_LANGUAGES))


def _asked(form_and_topic: tuple[str, str]) -> str:
    form, topic = form_and_topic
    return form.format(topic)
