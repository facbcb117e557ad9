"""The built-in model."""

from local.llm.server import MODEL, BuiltInModel

__all__ = ["MODEL", "BuiltInModel"]
