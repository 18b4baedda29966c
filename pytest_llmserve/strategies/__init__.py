"""Hypothesis strategies for inputs that break model servers."""
