"""Lambda functions in templates, with aliases, layers and destinations; types of SAM and CloudFormation."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from parley.template.arns import function_in
from parley.template.document import Document, Properties
from parley.template.model import LATEST, Function, InvokeConfig
from parley.template.source import TemplateError

SAM, CLOUDFORMATION = "AWS::Serverless::Function", "AWS::Lambda::Function"
_FIRST_VERSION = "1"


def functions(document: Document) -> dict[str, Function]:
    """Return the emulated functions by name. Raises `TemplateError` if the code of one is missing."""
    found = {}
    aliases, configs = _aliases(document), _invoke_configs(document)
    for logical_id in document.of_type(SAM, CLOUDFORMATION):
        name = document.name(logical_id)
        function = _function(document, logical_id, aliases.get(name, {}), configs.get(name, {}))
        if function is not None:
            found[name] = function
    return found


def _function(
    document: Document, logical_id: str, aliases: Mapping[str, str], configs: Mapping[str, InvokeConfig]
) -> Function | None:
    properties = document.properties(logical_id)
    is_sam = document.kind(logical_id) == SAM
    code = None if _is_not_python(properties) else _code_folder(document, logical_id, properties, is_sam)
    if code is None:
        return None
    published = properties.text("AutoPublishAlias") if is_sam else ""
    invoke = properties.part("EventInvokeConfig") if is_sam else None
    if invoke is not None and invoke.raw:
        # SAM attaches the configuration to the alias, if any; the plain name then has none (docs/aws.md section 7).
        configs = {**configs, published or LATEST: invoke_config(invoke)}
    variables = properties.part("Environment").part("Variables")
    dead_letter = properties.part("DeadLetterQueue" if is_sam else "DeadLetterConfig").text("TargetArn")
    reserved = properties.get("ReservedConcurrentExecutions")
    return Function(
        name=document.name(logical_id),
        handler=_required_text(document, properties, "Handler"),
        code=code,
        timeout=properties.number("Timeout", 3),
        memory=int(properties.number("MemorySize", 128)),
        environment={name: variables.text(name) for name in variables},
        dead_letter=dead_letter or None,
        reserved_concurrency=None if reserved is None else int(properties.number("ReservedConcurrentExecutions", 1000)),
        aliases={**aliases, **({published: _FIRST_VERSION} if published else {})},
        invoke_configs=configs,
        layers=tuple(_layers(document, properties)),
        log_group=properties.part("LoggingConfig").text("LogGroup"),
    )


def invoke_config(properties: Properties) -> InvokeConfig:
    """Return the settings of asynchronous invocations, from `EventInvokeConfig` or a resource of that type."""
    destinations = properties.part("DestinationConfig")
    return InvokeConfig(
        retries=int(properties.number("MaximumRetryAttempts", 2)),
        max_event_age=int(properties.number("MaximumEventAgeInSeconds", 21_600)),
        on_success=destinations.part("OnSuccess").text("Destination") or None,
        on_failure=destinations.part("OnFailure").text("Destination") or None,
    )


def _is_not_python(properties: Properties) -> bool:
    """Tell if a function is not in Python, and add a note if so."""
    runtime = properties.text("Runtime", "python")
    if properties.text("PackageType") == "Image":
        properties.note(
            f"`{properties.label}`: container images are not emulated; the function is ignored.", "PackageType"
        )
    elif not runtime.startswith("python"):
        properties.note(
            f"`{properties.label}`: the runtime is {runtime}, not Python; the function is ignored.", "Runtime"
        )
    else:
        return False
    return True


def _code_folder(document: Document, logical_id: str, properties: Properties, is_sam: bool) -> Path | None:
    inline = properties.text("InlineCode") if is_sam else properties.part("Code").text("ZipFile")
    if inline:
        return _write_inline_code(inline)
    if is_sam and not isinstance(properties.get("CodeUri"), dict):
        return _local_folder(document, properties, _required_text(document, properties, "CodeUri"))
    asset = document.metadata(logical_id).get("aws:asset:path")
    code = asset if isinstance(asset, str) else properties.text("Code") or properties.text("CodeUri")
    if code and not code.startswith("s3://"):
        return _local_folder(document, properties, code)
    properties.note(
        f"`{properties.label}`: the code is in S3; the function is ignored. "
        "Use the template from before packaging, or the one in cdk.out."
    )
    return None


def _local_folder(document: Document, properties: Properties, uri: str) -> Path:
    folder = (document.path.parent / uri).resolve()
    if not folder.is_dir():
        raise TemplateError(
            f"The template {document.path} says that the code of {properties.label} is in {uri}, "
            f"but there is no folder {folder}. Correct its {'CodeUri' if 'CodeUri' in properties.raw else 'Code'}."
        )
    return folder


def _write_inline_code(code: str) -> Path:
    """Return a folder with inline code in `index.py`, as on Lambda. The same code has the same folder."""
    folder = _inline_folder() / hashlib.sha256(code.encode()).hexdigest()[:16]
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "index.py").write_text(code, encoding="utf-8")
    return folder


@cache
def _inline_folder() -> Path:
    """Return a new folder for the inline code of this process. It is removed at the end.

    Not one with a name that others know: what they put there before would be imported as the function's own modules.
    """
    folder = Path(tempfile.mkdtemp(prefix="parley-code-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _required_text(document: Document, properties: Properties, name: str) -> str:
    value = properties.get(name)
    if not isinstance(value, str) or not value:
        raise TemplateError(f"The function {properties.label} in {document.path} has no {name}. Give it one.")
    return value


def _layers(document: Document, properties: Properties) -> Iterator[Path]:
    """Return the folders of a function's layers. Add a note for each layer that is not a folder of the template."""
    layers = document.of_type("AWS::Serverless::LayerVersion", "AWS::Lambda::LayerVersion")
    for layer in properties.texts("Layers"):
        logical_id = next((each for each in layers if layer in (each, document.name(each))), None)
        folder = _layer_folder(document, logical_id) if logical_id else None
        if folder is not None:
            yield folder
        else:
            properties.note(
                f"`{properties.label}`: the layer {layer} is not in the template's folder; ignored.", "Layers"
            )


def _layer_folder(document: Document, logical_id: str) -> Path | None:
    asset = document.metadata(logical_id).get("aws:asset:path")
    uri = asset if isinstance(asset, str) else document.properties(logical_id).text("ContentUri")
    folder = (document.path.parent / uri).resolve()
    return folder if uri and folder.is_dir() else None


def _aliases(document: Document) -> dict[str, dict[str, str]]:
    """Return the aliases that are resources, by function."""
    found: dict[str, dict[str, str]] = {}
    for logical_id in document.of_type("AWS::Lambda::Alias"):
        properties = document.properties(logical_id)
        version = properties.text("FunctionVersion", _FIRST_VERSION).rpartition(":")[2]
        name = function_in(properties.text("FunctionName")).name
        found.setdefault(name, {})[properties.text("Name", logical_id)] = version
    return found


def _invoke_configs(document: Document) -> dict[str, dict[str, InvokeConfig]]:
    """Return the configurations that are resources, by function and qualifier."""
    found: dict[str, dict[str, InvokeConfig]] = {}
    for logical_id in document.of_type("AWS::Lambda::EventInvokeConfig"):
        properties = document.properties(logical_id)
        name = function_in(properties.text("FunctionName")).name
        qualifier = properties.text("Qualifier", LATEST).rpartition(":")[2]
        found.setdefault(name, {})[qualifier] = invoke_config(properties)
    return found
