"""The next step that is named for a function that does not start."""

from pathlib import Path

import pytest
from parley.functions.advice import start_failure
from parley.template.model import Function


def said(function, kind, message):
    return start_failure(function, {"errorType": kind, "errorMessage": message})


@pytest.fixture
def function(tmp_path):
    (tmp_path / "typed.ts").write_text("")

    def make(runtime, handler="app.handler"):
        return Function("F", handler, tmp_path, 3.0, 128, {}, runtime=runtime)

    return make


@pytest.mark.parametrize(
    ("handler", "module", "step"),
    [
        ("app.handler", "@aws-sdk/client-s3", "`npm install @aws-sdk/client-s3` in {code}."),
        ("app.handler", "aws-sdk", "`npm install aws-sdk` in {code}."),
        ("app.handler", "left-pad", "Run `npm install` in {code}."),
        ("app.handler", "./lib", "Correct the handler, or the folder of the code: {code}."),
        ("src/app.handler", "app", "Correct the handler, or the folder of the code: {code}."),
        ("typed.handler", "typed", "{code}/typed.ts is not JavaScript: build it (for example by `sam build`)"),
    ],
)
def test_for_a_missing_module_of_node(function, tmp_path, handler, module, step):
    message = f"Error: Cannot find module '{module}'\nRequire stack:\n- /x"
    line = said(function("nodejs20.x", handler), "Runtime.ImportModuleError", message)
    assert line.startswith(
        f"Function F does not start: the import of its handler {handler} ended with Runtime.ImportModuleError: "
        f"Error: Cannot find module '{module}'. Every invocation of it will fail. "
    )
    assert step.format(code=tmp_path) in line


def test_for_a_missing_package_of_an_es_module(function, tmp_path):
    message = "Cannot find package '@aws-sdk/client-s3' imported from /x/app.mjs"
    assert f"`npm install @aws-sdk/client-s3` in {tmp_path}." in said(function("nodejs20.x"), "Error", message)


def test_for_python(function):
    line = said(
        function("python3.12"), "Runtime.ImportModuleError", "Unable to import module 'app': No module named 'x'"
    )
    assert line.endswith(
        "Every invocation of it will fail. Add its package to requirements.txt in the folder of the code, or name an "
        "environment with --python .venv."
    )


def test_for_a_library_in_c_that_was_built_for_another_python(function, tmp_path):
    (tmp_path / "pydantic_core").mkdir()
    (tmp_path / "pydantic_core" / "_pydantic_core.cpython-39-x86_64-linux-gnu.so").write_text("")
    message = "Unable to import module 'app': No module named 'pydantic_core._pydantic_core'"
    line = said(function("python3.12"), "Runtime.ImportModuleError", message)
    assert "The code has it for Python 3.9 only (" in line
    assert line.endswith("build it again for python3.12, or install that Python.")


@pytest.mark.parametrize("handler", ["app.handler", "app/views.handler"])
def test_for_a_handler_in_python_that_is_not_there(function, tmp_path, handler):
    message = "Unable to import module 'app': No module named 'app'"
    line = said(function("python3.12", handler), "Runtime.ImportModuleError", message)
    assert line.endswith(f"Correct the handler, or the folder of the code: {tmp_path}.")


def test_for_any_other_error(function):
    assert said(function("python3.12"), "ValueError", "no").endswith("will fail. Correct the handler.")


@pytest.mark.parametrize("runtime", ["provided.al2023", "nodejs20.x"])
def test_for_a_process_that_there_never_was_the_error_says_it(function, runtime):
    line = said(function(runtime), "Runtime.LaunchError", "RequestId: 1-2 Error: There is no such thing. Make one.")
    assert line == ("Function F does not start: There is no such thing. Make one. Every invocation of it will fail.")


def test_for_an_executable(function):
    line = said(function("provided"), "Runtime.LaunchError", "RequestId: 1 Error: [Errno 8] Exec format error: '/x'")
    assert "Build it for this machine: " in line
    line = said(
        function("provided"), "Runtime.ExitError", "RequestId: 1 Error: Runtime exited with error: exit status 2"
    )
    assert "its `bootstrap` ended with Runtime.ExitError: Runtime exited with error: exit status 2." in line


def test_it_is_one_line(function):
    assert "\n" not in said(function("nodejs20.x"), "Error", "one\ntwo")
    assert Path(function("nodejs20.x").code).is_dir()
