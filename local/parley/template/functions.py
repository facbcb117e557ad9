"""Lambda functions in templates, with aliases, layers and destinations; types of SAM and CloudFormation."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from parley.template.arns import function_in
from parley.template.document import Document, Properties
from parley.template.model import LANGUAGES, LATEST, NODE, PROVIDED, PYTHON, Function, InvokeConfig
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
    code = None if _is_not_emulated(properties) else _code(document, logical_id, properties, is_sam)
    if code is None:
        return None
    published = properties.text("AutoPublishAlias") if is_sam else ""
    invoke = properties.part("EventInvokeConfig") if is_sam else None
    if invoke is not None and invoke.raw:
        # SAM attaches the configuration to the alias, if any; the plain name then has none (docs/aws.md section 7).
        configs = {**configs, published or LATEST: invoke_config(invoke)}
    variables = properties.part("Environment").part("Variables")
    dead_letter = properties.part("DeadLetterQueue" if is_sam else "DeadLetterConfig").text("TargetArn")
    reserved, logging = properties.get("ReservedConcurrentExecutions"), properties.part("LoggingConfig")
    return Function(
        name=document.name(logical_id),
        handler=_handler(document, properties),
        code=code,
        timeout=properties.number("Timeout", 3),
        memory=int(properties.number("MemorySize", 128)),
        environment={name: variables.text(name) for name in variables},
        dead_letter=dead_letter or None,
        reserved_concurrency=None if reserved is None else int(properties.number("ReservedConcurrentExecutions", 1000)),
        aliases={**aliases, **({published: _FIRST_VERSION} if published else {})},
        invoke_configs=configs,
        layers=tuple(_layers(document, properties)),
        log_group=logging.text("LogGroup"),
        log_format="JSON" if logging.text("LogFormat").upper() == "JSON" else "Text",
        log_level=logging.text("ApplicationLogLevel", "INFO"),
        runtime=properties.text("Runtime"),
        parameters={name: each for name in variables if (each := document.parameter_of(variables.raw[name]))},
        logical_id=logical_id,
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


def _handler(document: Document, properties: Properties) -> str:
    """Return the name of the handler. An executable may have none: it reads the variable `_HANDLER`, or does not."""
    if properties.text("Runtime").startswith(PROVIDED):
        return properties.text("Handler")
    return _required_text(document, properties, "Handler")


def _is_not_emulated(properties: Properties) -> bool:
    """Tell if a function cannot run here, and add a note if so."""
    runtime = properties.text("Runtime", PYTHON)
    if properties.text("PackageType") == "Image":
        properties.ignored(
            f"`{properties.label}`: container images are not emulated; the function is ignored.", "PackageType"
        )
    elif not runtime.startswith(LANGUAGES):
        properties.ignored(
            f"`{properties.label}`: the runtime {runtime} does not run here, but python*, nodejs* and provided* do; "
            "the function is ignored.",
            "Runtime",
        )
    else:
        return False
    return True


def _code(document: Document, logical_id: str, properties: Properties, is_sam: bool) -> Path | None:
    """Return the folder or the zip with a function's code; None, with a note, if it is only in S3."""
    name = "CodeUri" if is_sam else "Code"
    code = properties.get(name)
    inline = properties.text("InlineCode") if is_sam else "" if isinstance(code, str) else _zip_file(properties)
    if inline:
        return _write_inline_code(inline, "index.js" if properties.text("Runtime").startswith(NODE) else "index.py")
    asset = document.metadata(logical_id).get("aws:asset:path")
    if isinstance(asset, str):
        return _local_code(document, properties, asset)
    if packaged := _packaged(document, properties, name):
        return packaged
    if is_sam and code is None:
        # As the SAM CLI does (`_DEFAULT_CODEURI` of its providers).
        return document.path.parent.resolve()
    if is_sam and not isinstance(code, dict):
        return _local_code(document, properties, _required_text(document, properties, "CodeUri"))
    if isinstance(code, str) and code and not code.startswith("s3://"):
        return _local_code(document, properties, code)
    properties.ignored(
        f"`{properties.label}`: the code is in S3; the function is ignored. "
        "Use the template from before packaging, or the one in cdk.out, or put the zip beside the template."
    )
    return None


def _zip_file(properties: Properties) -> str:
    return properties.part("Code").text("ZipFile")


def _local_code(document: Document, properties: Properties, uri: str) -> Path:
    code = _folder_or_zip(document, uri)
    if code is None:
        path = os.path.normpath((document.path.parent / uri).absolute())
        raise TemplateError(
            f"The template {document.path} says that the code of {properties.label} is in {uri}, "
            f"but there is no folder {path}, and no zip. Correct its "
            f"{'CodeUri' if 'CodeUri' in properties.raw else 'Code'}."
        )
    return code


def _folder_or_zip(document: Document, uri: str) -> Path | None:
    try:
        path = (document.path.parent / uri).resolve()
        return path if path.is_dir() or zipfile.is_zipfile(path) else None
    except (OSError, ValueError):  # a name that no file can have: too long, with a null byte, or not to be encoded
        return None


def _packaged(document: Document, properties: Properties, name: str) -> Path | None:
    """Return the code beside the template that has the name of the S3 object which a property points to, if any.

    `sam package` and `aws cloudformation package` name objects without a suffix. The CDK writes the asset `{hash}.zip`
    into the folder, or the zip, `asset.{hash}`; a template without its metadata does not name that.
    """
    code = properties.get(name)
    if isinstance(code, dict):
        part = properties.part(name)
        key = part.text("Key") or part.text("S3Key")
    else:
        uri = code if isinstance(code, str) else ""
        key = uri.removeprefix("s3://").partition("/")[2] if uri.startswith("s3://") else ""
    last = key.rpartition("/")[2]
    names = [name for each in (key, last) if each for name in (each, f"{each}.zip")]
    found = (_folder_or_zip(document, each.lstrip("/")) for each in names)
    if zipped := next((path for path in found if path is not None and path.is_file()), None):
        return zipped
    # The assets of a stage's stacks lie beside the folder of the stage.
    assets = (f"{folder}asset.{name}" for folder in ("", "../") for name in (last.removesuffix(".zip"), last))
    return next((path for each in assets if last and (path := _folder_or_zip(document, each))), None)


def _write_inline_code(code: str, name: str) -> Path:
    """Return a folder with inline code in `index.py` or `index.js`, as on Lambda. The same code has the same folder."""
    content = code.encode(errors="replace")
    folder = temporary_folder() / hashlib.sha256(content).hexdigest()[:16]
    folder.mkdir(mode=0o700, exist_ok=True)
    if not (folder / name).exists():  # what is written counts as a change
        (folder / name).write_bytes(content)
    return folder


@cache
def temporary_folder() -> Path:
    """Return a new folder for code that this process writes. It is removed at the end.

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
    """Return the folders or zips of a function's layers. Add a note for each layer that is not beside the template."""
    layers = document.of_type("AWS::Serverless::LayerVersion", "AWS::Lambda::LayerVersion")
    for layer in properties.texts("Layers"):
        logical_id = next((each for each in layers if layer in (each, document.name(each))), None)
        content = _layer_content(document, logical_id) if logical_id else None
        if content is not None:
            yield content
        else:
            properties.note(
                f"`{properties.label}`: the layer {layer} is not in the template's folder; ignored.", "Layers"
            )


def _layer_content(document: Document, logical_id: str) -> Path | None:
    asset, properties = document.metadata(logical_id).get("aws:asset:path"), document.properties(logical_id)
    name = "ContentUri" if "ContentUri" in properties.raw else "Content"
    if packaged := _packaged(document, properties, name):
        return packaged
    uri = asset if isinstance(asset, str) else properties.text(name)
    content = _folder_or_zip(document, uri) if uri else None
    if content is None or not content.is_dir() or any((content / name).is_dir() for name in (PYTHON, NODE)):
        return content
    method = str(document.metadata(logical_id).get("BuildMethod", ""))
    if language := next((each for each in (PYTHON, NODE) if method.startswith(each)), None):
        return _built_layer(content, language)
    if not any((content / name).exists() for name in ("bin", "lib", "bootstrap")):
        # Lambda developer guide, "Packaging your layer content".
        text = f"`{logical_id}`: the layer has no folder `python` or `nodejs`; its modules are not found, as on AWS."
        properties.note(text, name)
    return content


def _built_layer(source: Path, language: str) -> Path:
    """Return a layer as `sam build` makes it of its source: what is in the folder comes into the language's folder.

    The same source has the same layer.
    """
    layer = temporary_folder() / f"layer-{hashlib.sha256(f'{language} {source}'.encode()).hexdigest()[:16]}"
    layer.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileExistsError):
        (layer / language).symlink_to(source)
    return layer


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
