"""The field's words as frozen values. Standard library and msgspec only."""
