"""Template files: YAML or JSON with short forms of intrinsic functions, read into values or lines."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import yaml

from parley.errors import StartError

NodePath = tuple[str | int, ...]
"""Path to a value in a template: the keys and indexes that lead to it."""


_ANCHOR = re.compile(r"&\S")
_MAX_REPEATED = 20_000
"""The number of values that aliases may add to a template. CloudFormation itself takes no aliases."""


class TemplateError(StartError):
    """The template cannot be used."""


def read_source(path: Path) -> Any:
    """Return the content of a template file. Raises `TemplateError` if it is not YAML or JSON."""
    try:
        return load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TemplateError(
            f"Cannot read the template {path}: {error.strerror}. Name another one with --template."
        ) from None
    except UnicodeDecodeError:
        raise TemplateError(f"The template {path} is not UTF-8 text. Name another one with --template.") from None
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise TemplateError(f"The template {path} is not YAML{where}: {error.problem}. Correct it there.") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise TemplateError(f"The template {path} is not YAML: {reason}. Correct it.") from None
    except RecursionError:
        raise TemplateError(f"The template {path} is nested too deeply to be read. Correct it.") from None
    except (ValueError, TypeError) as error:  # a mapping as a key, an invalid number
        raise TemplateError(
            f"The template {path} is not YAML that CloudFormation accepts: {error}. Correct it."
        ) from None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads `!Ref x` as `{"Ref": "x"}` and `!Sub x` as `{"Fn::Sub": "x"}`, as CloudFormation does."""


def _short_form(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _short_form)
# A template's dates (`2012-10-17`) are version names, not days.
_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))


def load(text: str) -> Any:
    """Parse YAML or JSON with short forms of intrinsic functions. Raises `yaml.YAMLError` or ValueError."""
    if text.lstrip().startswith("{"):
        # JSON's own parser is ten times as fast for a large synthesised template, and accepts tabs as indentation.
        with contextlib.suppress(ValueError):
            return json.loads(text)
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        if _ANCHOR.search(text):
            _check_aliases(root)
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _check_aliases(root: yaml.Node) -> None:
    """Raise ValueError if aliases repeat so much of a template that it would take long to read, or for ever.

    A node that is reached a second time is an alias. The sizes are counted before anything is made of the nodes.
    """
    sizes: dict[int, int] = {}
    entered: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting[-1]
        children = _children(node)
        if id(node) not in sizes and id(node) not in entered:
            entered.add(id(node))
            if any(id(child) in entered and id(child) not in sizes for child in children):
                raise ValueError("an alias stands inside of what it repeats")
            waiting += (child for child in children if id(child) not in sizes)
            continue
        waiting.pop()
        sizes.setdefault(id(node), 1 + sum(sizes[id(child)] for child in children))
        if sizes[id(node)] > len(sizes) + _MAX_REPEATED:
            raise ValueError(f"its aliases repeat more than {_MAX_REPEATED:,} values")


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def compose(text: str) -> yaml.Node | None:
    """Parse YAML or JSON into nodes that know their lines. Raises `yaml.YAMLError`."""
    return yaml.compose(text.replace("\t", " ") if text.lstrip().startswith("{") else text, Loader=_Loader)


class SourceLines:
    """Line numbers of a template file. The file is read again for them, but only if the template has notes."""

    def __init__(self, path: Path) -> None:
        try:
            self._root = compose(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError, RecursionError):
            self._root = None

    def of(self, node_path: NodePath) -> str:
        """Return `:12` for a value in line 12. A value that is not in the file has the line of its nearest parent."""
        node, line = self._root, None
        for step in node_path:
            found = _child(node, step)
            if found is None:
                break
            line, node = found
        return f":{line + 1}" if line is not None else ""


def _child(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    """Return the line where a child of a node begins, and the child."""
    if isinstance(node, yaml.MappingNode):
        named = ((key.start_mark.line, value) for key, value in node.value if key.value == step)
        return next(named, None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line, node.value[step]
    return None
