"""Templates of projects: where SAM, the CDK, the Serverless Framework and this project put them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from parley.template.source import TemplateError

PLACES = (
    *("template.yaml", "template.yml", "template.json", "infra/template.yaml"),
    "cdk.out/*.template.json",
    "cdk.out/assembly-*/*.template.json",
    ".serverless/cloudformation-template-update-stack.json",
    ".aws-sam/build/template.yaml",
)
"""Places of a template in a project's folder. The first place that has one is taken.

What a tool builds comes after the template that it is built from: a change of the code then has an effect at once.
"""

_PLACES_OF_TOOLS = (*PLACES, "*.template.json", "cloudformation-template-update-stack.json", "sam.json")
"""Places in a folder that a command names: it may be one into which a tool writes, such as `cdk.out`."""

_WEBSOCKETS = re.compile(r"AWS::Serverless::WebSocketApi\b|\bWEBSOCKET\b")
_APPLICATION = re.compile(
    r"AWS::Serverless::(?:Function|Api|HttpApi|WebSocketApi)\b|AWS::Lambda::Function\b|AWS::ApiGateway(?:V2)?::\w*Api\b"
)
_HINTS = (
    ("serverless.*", "There is {}: run `serverless package` first"),
    ("cdk.json", "There is {}: run `cdk synth` first"),
    (".chalice/config.json", "There is {}: run `chalice package packaged`, then name packaged/sam.json"),
    ("*.tf", "There is {}; Terraform is not read: describe the API in a SAM template too"),
)


def template_of(given: Path | None) -> Path:
    """Return the template that a command means: a file, the one in a folder, or without either the one in this folder.

    Raises `TemplateError` if a folder has none, or several that may be meant.
    """
    if given is None:
        return _found(Path(), PLACES)
    return _found(given, _PLACES_OF_TOOLS) if given.is_dir() else given


def others(template: Path) -> list[Path]:
    """Return the templates of this folder that were not taken."""
    found = [path for place in PLACES for path in sorted(Path().glob(place))]
    return [path for path in dict.fromkeys(found) if path != template] if template in found else []


def _found(folder: Path, patterns: Sequence[str]) -> Path:
    """Return the first template that describes an application, else the first one: reading it tells what it lacks."""
    places = [sorted(path for path in folder.glob(pattern) if path.is_file()) for pattern in patterns]
    several = sum(map(len, places)) > 1
    for paths in places:
        if chosen := _chosen(paths, several):
            return chosen
    first = next((path for paths in places for path in paths), None)
    if first is None:
        raise TemplateError(_nothing(folder))
    return first


def _chosen(paths: list[Path], several: bool) -> Path | None:
    """Return the template of one place that describes an application. One with a WebSocket API is preferred."""
    if len(paths) == 1 and not several:
        return paths[0]
    texts = {path: _text(path) for path in paths}
    applications = [path for path, text in texts.items() if text is None or _APPLICATION.search(text)]
    sockets = [path for path in applications if _WEBSOCKETS.search(texts[path] or "")]
    found = sockets or applications
    if len(found) > 1:
        names = "\n".join(f"  --template {path}" for path in found)
        raise TemplateError(f"Several templates may be meant. Name one of them:\n{names}")
    return found[0] if found else None


def _text(path: Path) -> str | None:
    """Return the text of a template; None if it cannot be read, which its reader will explain."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _nothing(folder: Path) -> str:
    *places, last = PLACES
    hints = "".join(f"{hint}. " for hint in _hints(folder))
    return (
        f"There is no template in {folder.absolute()}. Looked for {', '.join(places)} and {last}. "
        f"{hints}Name a template with --template."
    )


def _hints(folder: Path) -> Iterator[str]:
    for pattern, hint in _HINTS:
        if path := next(iter(sorted(folder.glob(pattern))), None):
            yield hint.format(path.relative_to(folder))
