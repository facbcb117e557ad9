"""Environment variables of a function's environment: those that Lambda sets, and over them the function's own."""

from __future__ import annotations

import os

from parley.account import ACCOUNT_ID, REGION
from parley.template.model import Function

FUNCTIONS_KEYS = "EMULATOR"
"""The beginning of every function's access key."""

FUNCTIONS_SECRET = "emulator"  # noqa: S105 - opens nothing


def function_arn(name: str) -> str:
    """Return the ARN of a function."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{name}"


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
        "LAMBDA_TASK_ROOT": str(function.code.absolute()),
        "_HANDLER": function.handler,
    }


def of_process(function: Function, version: str, log_stream: str, runtime_api: str) -> dict[str, str]:
    """Return all variables of a process of this function. None of the emulator's own variables is among them."""
    return {
        **of_service(function, version, log_stream),
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "TZ": ":UTC",
        "LANG": "en_US.UTF-8",
        **({"PYTHONPATH": layers} if (layers := _layers(function)) else {}),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        **function.environment,
    }


def _layers(function: Function) -> str:
    """Return the folders with the modules of a function's layers. On AWS these folders lie below /opt."""
    return os.pathsep.join(str(folder) for layer in function.layers for folder in (layer / "python", layer))
