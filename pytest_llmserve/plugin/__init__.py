"""pytest's face. Loaded at every start of pytest, so it imports nothing but the standard library."""

from __future__ import annotations

from pytest_llmserve.plugin.fixtures import llm_endpoint, llm_load, llm_resources, llm_server, llm_tasks
from pytest_llmserve.plugin.hooks import (
    pytest_addoption,
    pytest_cmdline_main,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_configure_node,
    pytest_report_header,
    pytest_runtest_call,
    pytest_runtest_makereport,
    pytest_runtest_protocol,
    pytest_runtest_setup,
    pytest_unconfigure,
)

__all__ = [
    "llm_endpoint",
    "llm_load",
    "llm_resources",
    "llm_server",
    "llm_tasks",
    "pytest_addoption",
    "pytest_cmdline_main",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_configure_node",
    "pytest_report_header",
    "pytest_runtest_call",
    "pytest_runtest_makereport",
    "pytest_runtest_protocol",
    "pytest_runtest_setup",
    "pytest_unconfigure",
]
