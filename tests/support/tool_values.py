"""Types of the parameters, results and exceptions of tools."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel

from handlers.chat.assistants import ToolError


class Place(BaseModel):
    """A model of pydantic's."""

    name: str
    near: list[str] = []


class Colour(StrEnum):
    """A choice."""

    RED = "red"


@dataclass
class Size:
    """A dataclass."""

    width: int


class BrokenType:
    """A type whose own schema cannot be made."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> object:
        raise RuntimeError("broken")


class BadText(ToolError):
    """An exception whose text cannot be made."""

    def __str__(self) -> str:
        raise ValueError


class Odd(BaseException):
    """An exception that `except Exception` does not catch."""
