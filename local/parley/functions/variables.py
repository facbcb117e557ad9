"""Environment variables of a function's environment: those that Lambda sets, and over them the function's own."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from parley.account import ACCOUNT_ID, REGION
from parley.template.model import NODE, PROVIDED, PYTHON, Function

FUNCTIONS_KEYS = "EMULATOR"
"""The beginning of every function's access key."""

FUNCTIONS_SECRET = "emulator"  # noqa: S105 - opens nothing

CLIENTS = Path(__file__).with_name("clients")
"""The folder of our own clients of the Runtime API, by language."""


def function_arn(name: str) -> str:
    """Return the ARN of a function."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{name}"


def runtime(function: Function) -> str:
    """Return the identifier of a runtime, as `python3.13`; of this Python if the template names none."""
    return function.runtime or "python{}.{}".format(*sys.version_info)


def log_group(function: Function) -> str:
    """Return the name of the log group of a function."""
    return function.log_group or f"/aws/lambda/{function.name}"


def access_key(log_stream: str) -> str:
    """Return the access key of an environment, made from its log stream. Each environment has its own, as on AWS."""
    return f"{FUNCTIONS_KEYS}{log_stream[-12:].upper()}"


def of_service(function: Function, version: str, log_stream: str) -> dict[str, str]:
    """Return the variables that Lambda sets for every runtime. The credentials among them open nothing."""
    return {
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_VERSION": version,
        "AWS_LAMBDA_LOG_GROUP_NAME": log_group(function),
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_LAMBDA_LOG_FORMAT": function.log_format,
        # Lambda developer guide, "Log-level filtering": it needs the format JSON.
        **({"AWS_LAMBDA_LOG_LEVEL": function.log_level} if function.log_format == "JSON" else {}),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": access_key(log_stream),
        "AWS_SECRET_ACCESS_KEY": FUNCTIONS_SECRET,
        "AWS_SESSION_TOKEN": "emulator",
        # Even without HOME, botocore finds the developer's own profile; these two keep it out.
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        # Lambda developer guide, "Working with Lambda environment variables": not for executables.
        **({} if function.language == PROVIDED else {"AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime(function)}"}),
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "LAMBDA_TASK_ROOT": str(function.code.absolute()),
        "LAMBDA_RUNTIME_DIR": _runtime_folder(function),
        "_HANDLER": function.handler,
    }


def _runtime_folder(function: Function) -> str:
    """Return the folder of the runtime: of what Lambda itself brings for a function."""
    if function.interpreter and function.interpreter.packages:
        return function.interpreter.packages[0]
    return sysconfig.get_path("purelib") if function.language == PYTHON else str(CLIENTS)


def of_process(function: Function, version: str, log_stream: str, runtime_api: str) -> dict[str, str]:
    """Return all variables of a process of this function. None of the emulator's own variables is among them."""
    return {
        **of_service(function, version, log_stream),
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "TZ": ":UTC",
        "LANG": "en_US.UTF-8",
        **_paths(function),
        **function.environment,
    }


def of_function(function: Function) -> dict[str, str]:
    """Return the variables of a process of this function, with examples where each process has values of its own."""
    return of_process(function, *_EXAMPLES[0])


def shared(functions: Iterable[Function]) -> tuple[dict[str, str], set[str]]:
    """Return the variables that are the same in all processes of these functions, and the names of all others."""
    functions = list(functions)
    processes = [of_process(function, *example) for function in functions for example in _EXAMPLES]
    names = {name for variables in processes for name in variables}
    folders = {function.code for function in functions}
    same = {
        name
        for name in names - _NEVER_SHARED
        if len({variables.get(name) for variables in processes}) == 1
        and (len(folders) == 1 or not any(_is_in(folder, processes[0][name]) for folder in folders))
    }
    return {name: processes[0][name] for name in same}, (names | _NEVER_SHARED) - same


_EXAMPLES = [("1", "2024/01/01/[1]aaaaaaaaaaaa", "127.0.0.1:1/a"), ("2", "2024/01/02/[2]bbbbbbbbbbbb", "127.0.0.1:2/b")]
"""Two processes of a function: version, log stream and address of the Runtime API. No other variable differs."""

_NEVER_SHARED = {"_X_AMZN_TRACE_ID", "PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONPLATLIBDIR"}
"""A variable of each event, and those that would change which modules the zygote itself finds."""


def _is_in(folder: Path, value: str) -> bool:
    """Tell if a value may be a relative path, which is another file for each function."""
    try:
        return not Path(value).is_absolute() and (folder / value).exists()
    except (OSError, ValueError):
        return False


def module_folders(function: Function) -> list[str]:
    """Return the folders with the modules of a function in Python besides its code.

    What its list of packages names is a part of the code on AWS, so it comes before the layers.
    """
    installed = function.interpreter.installed if function.interpreter else ""
    return [*([installed] if installed else []), *layer_folders(function)]


def layer_folders(function: Function) -> list[str]:
    """Return the folders with the modules of a function's layers, in the order in which they are searched.

    On AWS these folders lie below /opt, after the function's code and before everything else (the module `bootstrap`
    of AWS's Python image).
    """
    site_packages = Path("python", "lib", runtime(function), "site-packages")
    folders = (layer / folder for layer in reversed(function.layers) for folder in (site_packages, Path("python")))
    return [str(folder) for folder in folders if folder.is_dir()]


def _node_folders(function: Function) -> list[str]:
    """Return the folders with packages: of layers, of the runtime, then the code, as NODE_PATH of AWS's image."""
    version = function.runtime.removeprefix(NODE).partition(".")[0]
    parts = (Path(NODE, f"node{version}", "node_modules"), Path(NODE, "node_modules"))
    folders = [layer / part for part in parts for layer in reversed(function.layers)]
    installed = [function.interpreter.installed] if function.interpreter and function.interpreter.installed else []
    return [*(str(folder) for folder in folders if folder.is_dir()), *installed, str(function.code.absolute())]


def _modules(function: Function) -> dict[str, str]:
    """Return the variable that names the folders of modules."""
    if function.language == NODE:
        return {"NODE_PATH": os.pathsep.join(_node_folders(function))}
    if function.language != PYTHON:
        return {}
    modules = module_folders(function)
    return {"PYTHONPATH": os.pathsep.join(modules)} if modules else {}


def _paths(function: Function) -> dict[str, str]:
    """Return where modules, programs and libraries in C are searched: in the layers too, in AWS's order."""
    layers = function.layers[::-1]
    programs = [layer / "bin" for layer in layers if (layer / "bin").is_dir()]
    interpreter = function.interpreter.path if function.interpreter else ""
    own = [str(Path(interpreter).parent)] if interpreter not in ("", sys.executable) else []
    in_c = [folder / "lib" for folder in (function.code, *layers) if next((folder / "lib").glob("*.so*"), None)]
    return {
        **_modules(function),
        # The interpreter's folder first, as /var/lang/bin on AWS.
        "PATH": os.pathsep.join([*own, "/usr/local/bin", "/usr/bin", "/bin", *map(str, programs)]),
        # Only where it matters: the system reads it when a program starts, so the function's process is no fork then.
        **({"LD_LIBRARY_PATH": os.pathsep.join(map(str, in_c))} if in_c else {}),
    }
