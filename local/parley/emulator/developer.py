"""The developer's variables that reach functions: of the shell, of `.env` and of `--env`.

A shell has variables for itself: they are about the developer's machine, not about a function. A function's variable of
such a name keeps the value of the template. `.env` and `--env` are about the project, so they count for every name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import translate

from parley import proxies
from parley.emulator.options import DeveloperVariables, FunctionOptions
from parley.errors import StartError
from parley.template.model import Function, Template
from parley.template.parameters import accepted_values, refusal

_OF_THE_SYSTEM = (
    # POSIX, Base Definitions, 8.1 "Environment Variable Definition": names that shells and their tools export.
    *("ARFLAGS", "CC", "CDPATH", "CFLAGS", "CHARSET", "COLUMNS", "EDITOR", "ENV", "FCEDIT", "HISTFILE", "HISTSIZE"),
    *("HOME", "IFS", "LANG", "LC_*", "LDFLAGS", "LINENO", "LINES", "LOGNAME", "MAIL", "MAILCHECK", "MAILPATH"),
    *("MAKEFLAGS", "MAKELEVEL", "MANPATH", "NLSPATH", "NPROC", "OLDPWD", "OPTARG", "OPTERR", "OPTIND", "PAGER", "PATH"),
    *("PPID", "PS[1-4]", "PWD", "RANDOM", "SECONDS", "SHELL", "TERM", "TERMCAP", "TERMINFO", "TMPDIR", "TZ", "USER"),
    "VISUAL",
    # Of sessions, desktops and version managers.
    *("CI", "COLORTERM", "CONDA_*", "DBUS_*", "DISPLAY", "DYLD_*", "GOPATH", "HOST", "HOSTNAME", "HOSTTYPE"),
    *("JAVA_HOME", "LANGUAGE", "LD_*", "LS_COLORS", "NAME", "NODE_PATH", "NVM_*", "OSTYPE", "PYTHON*", "SHLVL"),
    *("SSH_*", "SUDO_*", "TEMP", "TERM_PROGRAM*", "TMP", "USERNAME", "VIRTUAL_ENV*", "WSL*", "XDG_*", "_"),
)
_OF_DEPLOYMENTS = ("STAGE", "ENVIRONMENT", "SAM_CLI_*", "CDK_*", "SLS_*", "SERVERLESS_*")
"""Names that scripts export for a deployment: of its stage, and of its tools."""

_OF_THE_EMULATOR = ("PORT", "PARLEY_*")
"""Names by which the emulator's own options are set."""

_NAMES = re.compile("|".join(map(translate, (*_OF_THE_SYSTEM, *_OF_DEPLOYMENTS, *_OF_THE_EMULATOR))))


def is_of_the_shell(name: str) -> bool:
    """Tell if a variable of this name says something about the shell, and nothing about a function."""
    return _NAMES.match(name) is not None


def for_functions(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those of the developer's variables that are meant for functions."""
    meant = variables.meant if isinstance(variables, DeveloperVariables) else {}
    return {name: value for name, value in variables.items() if name in meant or not is_of_the_shell(name)} | {
        name: value for name, value in meant.items() if is_of_the_shell(name)
    }


def given_to(function: Function, options: FunctionOptions) -> dict[str, str]:
    """Return the variables that `--env` gives to a function: those of all, and over them its own."""
    own = {}
    for each, value in options.variables.items():
        owner, _, name = each.rpartition(".")
        if owner and owner in (function.name, function.logical_id):
            own[name] = value
    return options.variables_of_all() | own


def check_given(template: Template, options: FunctionOptions) -> None:
    """Raise `StartError` if `--env` names a function that the template does not have."""
    known = {name for each in template.functions.values() for name in (each.name, each.logical_id)}
    for each in options.variables:
        owner = each.rpartition(".")[0]
        if owner and owner not in known:
            there = ", ".join(template.functions) or "none"
            raise StartError(f"--env {each}: there is no function {owner}. The template has {there}.")


def refused_overrides(template: Template, overrides: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each of the developer's values that the parameter behind the variable does not accept.

    The emulator starts nevertheless: a value may be for this machine only, such as the URL of a local server.
    """
    parameters: dict[str, str] = {}
    given = for_functions(overrides)
    for function in template.functions.values():
        parameters |= function.parameters
    for variable, parameter in parameters.items():
        declared, value = template.constraints.get(parameter, {}), given.get(variable)
        if value and variable not in proxies.EXCEPTIONS and (reason := refusal(parameter, declared, value)):
            yield f"{variable} of the shell or of .env cannot be deployed: {reason}. Give {accepted_values(declared)}"
