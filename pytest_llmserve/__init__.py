"""Acceptance tests of model servers as pytest tests.

This file stays empty of imports: pytest imports it at every start, in every
project that has the plugin installed.
"""

__version__ = "0.1.0"
