"""The built-in model."""

from parley.llm.server import MODEL, BuiltInModel

__all__ = ["MODEL", "BuiltInModel"]
