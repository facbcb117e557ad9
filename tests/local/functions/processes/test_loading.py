"""The libraries that the zygote loads for all functions, and those that it leaves to each function."""

import gc
import os
import sys
import textwrap
from itertools import count
from pathlib import Path

import pytest
from parley.functions.processes import loading
from parley.functions.processes.loading import Libraries, load
from parley.functions.variables import shared
from parley.template.model import Function

CASES = count()


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Write libraries, load some of them, and return the names that are loaded then, and those left behind."""
    folder = tmp_path / f"libraries{next(CASES)}"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("SHARED", "all")
    before = dict(sys.modules)

    def loaded(libraries: Libraries, **sources: str):
        for name, source in sources.items():
            package, _, module = name.partition("__")
            path = (folder / package / module if module else folder / package).with_suffix(".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(textwrap.dedent(source))
        left_behind = load(libraries)
        return {name for name in sys.modules.keys() - before.keys() if name.startswith("lib")}, left_behind

    yield loaded
    gc.unfreeze()
    sys.modules.clear()
    sys.modules.update(before)


def libraries(*modules: str, own: str = "") -> Libraries:
    return Libraries(modules, ["LEVEL"], own.split())


@pytest.mark.parametrize(
    "reads",
    [
        "os.environ.get('LEVEL')",
        "os.getenv('LEVEL', 'info')",
        "os.environ['LEVEL'] if 'LEVEL' in os.environ else 0",
        "from_the_system.environ.get('LEVEL')",
        "[name for name in os.environ if name.startswith('LEV')]",
        "dict(os.environ)",
        "os.environ.copy()",
        "os.environ.setdefault('PARALLEL', 'no')",
        "os.environ.update(PARALLEL='no')",
        "os.environ.pop('LEVEL', None)",
    ],
)
def test_a_module_that_reads_a_functions_variable_or_sets_one_is_left_out_with_its_importers(library, reads):
    loaded, left_behind = library(
        libraries("lib_logs", "lib_above", "lib_beside"),
        lib_logs=f"import os, os as from_the_system\nimport lib_below\nlevel = {reads}",
        lib_above="import lib_logs",
        lib_below="import os\nname = os.environ['SHARED']",
        lib_beside="import lib_below",
    )
    assert loaded == {"lib_below", "lib_beside"}
    assert not left_behind
    assert "PARALLEL" not in os.environ


def test_what_is_read_after_the_import_keeps_nobody_out(library):
    source = "import os\nseen = os.environ\ndef level(): return os.environ.get('LEVEL')"
    assert library(libraries("lib_later"), lib_later=source) == ({"lib_later"}, set())
    os.environ["LEVEL"] = "debug"
    try:
        assert sys.modules["lib_later"].level() == sys.modules["lib_later"].seen["LEVEL"] == "debug"
    finally:
        del os.environ["LEVEL"]


def test_what_a_library_imports_when_it_is_used_is_loaded_with_it(library, monkeypatch):
    monkeypatch.setattr(loading, "_IMPORTED_WHEN_USED", {"lib_used": "lib_later", "lib_unused": "lib_never"})
    sources = dict.fromkeys(("lib_used", "lib_unused", "lib_later", "lib_never"), "")
    assert library(libraries("lib_used"), **sources) == ({"lib_used", "lib_later"}, set())


def test_what_a_library_imports_when_it_is_used_is_left_out_if_it_reads_a_functions_variable(library, monkeypatch):
    monkeypatch.setattr(loading, "_IMPORTED_WHEN_USED", {"lib_used": "lib_later"})
    later = "import os\nlevel = os.environ.get('LEVEL')"
    assert library(libraries("lib_used"), lib_used="", lib_later=later) == ({"lib_used"}, set())


def test_the_runtimes_modules_that_are_loaded_read_no_variable_of_a_function(library, tmp_path):
    values, others = shared([function(tmp_path)])
    for name in [name for name in sys.modules if name.startswith("awslambdaric")]:
        del sys.modules[name]
    assert library(Libraries(variables=[*values, *others])) == (set(), set())
    assert sys.modules.keys() >= set(loading._RUNTIME)
    assert "awslambdaric.lambda_runtime_client" not in sys.modules


@pytest.mark.parametrize(
    "imports",
    [
        "import lib_mine",
        "from lib_mine.part import x",
        "try:\n    import lib_mine\nexcept ImportError:\n    lib_mine = None",
    ],
)
def test_what_a_function_brings_itself_is_left_out_with_its_importers(library, imports):
    loaded, left_behind = library(
        libraries("lib_mine", "lib_above", "lib_beside", own="lib_mine"),
        lib_mine="",
        lib_user=imports,
        lib_above="import lib_user",
        lib_beside="",
    )
    assert (loaded, left_behind) == ({"lib_beside"}, set())


def test_a_package_that_is_refused_at_its_end_leaves_nothing_of_itself(library):
    loaded, left_behind = library(
        libraries("lib_pack", "lib_pack.part", "lib_pack.deep"),
        lib_pack____init__="from lib_pack import part\nimport os\nos.environ.get('LEVEL')",
        lib_pack__part="import lib_other\nclass Part: pass",
        lib_other="",
    )
    assert (loaded, left_behind) == ({"lib_other"}, set())


@pytest.mark.parametrize(
    "holds", ["from lib_pack.part import Part", "from lib_pack.part import make", "import lib_pack"]
)
def test_a_module_that_holds_what_is_forgotten_is_left_out_the_next_time(library, holds):
    sources = {
        "lib_pack____init__": "from lib_pack import part\nimport lib_holds, os\nos.environ.get('LEVEL')",
        "lib_pack__part": "class Part: pass\ndef make(): return Part()",
        "lib_holds": holds,
    }
    _, left_behind = library(libraries("lib_pack"), **sources)
    assert left_behind == {"lib_pack", "lib_holds"}
    for name in [name for name in sys.modules if name.startswith("lib_")]:
        del sys.modules[name]
    again = libraries("lib_pack", "lib_holds", "lib_fine").without(left_behind)
    assert library(again, **sources, lib_fine="") == ({"lib_fine"}, set())


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import lib_mine\nexcept:\n    lib_mine = None",
        "import contextlib\nwith contextlib.suppress(BaseException):\n    import lib_mine",
    ],
)
def test_a_module_that_catches_the_refusal_is_left_out_the_next_time(library, source):
    _, left_behind = library(libraries("lib_catches", own="lib_mine"), lib_mine="", lib_catches=source)
    assert left_behind == {"lib_catches"}


def test_a_library_in_c_cannot_be_forgotten(library):
    _, left_behind = library(
        libraries("lib_pack"),
        lib_pack____init__="from lib_pack import core\nimport os\nos.environ.get('LEVEL')",
        lib_pack__core="__file__ = 'core.abi3.so'",
    )
    assert left_behind == {"lib_pack"}


def function(code: Path, **environment: str) -> Function:
    return Function(code.name, "app.handler", code, 3, 128, environment, runtime="python3.13")


def test_variables_are_shared_that_every_process_has_alike(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    values, others = shared([function(one, A="1", B="x"), function(two, A="1", C="y")])
    assert values["A"] == "1"
    assert values["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.13"
    assert values["TZ"] == ":UTC"
    assert {"B", "C", "LAMBDA_TASK_ROOT", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"} <= others
    assert {"AWS_LAMBDA_RUNTIME_API", "AWS_ACCESS_KEY_ID", "_X_AMZN_TRACE_ID", "PYTHONPATH"} <= others
    assert not values.keys() & others


def test_the_only_function_shares_its_own_variables(tmp_path):
    values, others = shared([function(tmp_path, LEVEL="debug")])
    assert (values["LEVEL"], values["LAMBDA_TASK_ROOT"]) == ("debug", str(tmp_path))
    assert "AWS_LAMBDA_FUNCTION_VERSION" in others


def test_a_relative_path_is_shared_only_by_functions_of_one_folder(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    (one / "settings.py").write_text("")
    assert "CONFIG" in shared([function(one, CONFIG="settings.py"), function(two, CONFIG="settings.py")])[1]
    assert "CONFIG" in shared([function(one, CONFIG="settings.py")] * 2)[0]
