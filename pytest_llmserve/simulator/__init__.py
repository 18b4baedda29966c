"""A model server that keeps a timing law and fails on purpose. Imports nothing else of this package."""
