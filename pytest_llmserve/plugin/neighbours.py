"""Other plugins that are told what was measured, each only where the user asked that one for something."""

from __future__ import annotations

from importlib import import_module

import pytest

NEIGHBOURS: dict[str, tuple[str, ...]] = {
    "pytest_llmserve.plugin.benchmark:Bridge": (
        *("benchmark_json", "benchmark_save", "benchmark_autosave", "benchmark_compare"),
        *("benchmark_compare_fail", "benchmark_histogram", "benchmark_only", "benchmark_enable"),
    ),
    "pytest_llmserve.plugin.pytesthtml:Extras": ("htmlpath",),
    "pytest_llmserve.plugin.allure:Attachments": ("allure_report_dir",),
}
"""A plugin of ours -> the options of theirs, any of which asks for it; without theirs none is there."""


def register_neighbours(config: pytest.Config) -> None:
    """Register those that are asked for."""
    for path, options in NEIGHBOURS.items():
        if any(config.getoption(option, None) for option in options):
            module, _, name = path.partition(":")
            config.pluginmanager.register(getattr(import_module(module), name)(config), f"llmserve-{name}")
