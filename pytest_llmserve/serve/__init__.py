"""Finds, starts, asks and stops the server under test."""
