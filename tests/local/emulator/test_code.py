"""Zips and layers as folders."""

import os
import stat
import zipfile
from pathlib import Path

import pytest
from parley.emulator import code
from parley.emulator.code import read_template
from parley.emulator.options import TemplateOptions
from parley.template.source import TemplateError

TEMPLATE = """
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties: {{RouteSelectionExpression: $request.body.a, Routes: {{$default: {{FunctionArn: !GetAtt F.Arn}}}}}}
  F:
    Type: AWS::Serverless::Function
    Properties: {{CodeUri: {code}, Handler: app.f, Layers: [{references}]}}
"""
LAYER = "  {name}: {{Type: AWS::Serverless::LayerVersion, Properties: {{ContentUri: {name}}}}}\n"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def pack(path: Path, files: dict[str, str], modes: dict[str, int] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = (modes or {}).get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(member, text)
    return path


@pytest.fixture
def read(tmp_path):
    """Read a template whose function has this code and these layers, which are folders or zips."""
    environ = {"XDG_CACHE_HOME": str(tmp_path / "cache")}

    def function(uri="code", *layers: str):
        (tmp_path / "code").mkdir(exist_ok=True)
        path = tmp_path / "template.yaml"
        text = TEMPLATE.format(code=uri, references=", ".join(f"!Ref {name}" for name in layers))
        path.write_text(text + "".join(LAYER.format(name=name) for name in layers))
        return read_template(TemplateOptions(path), environ).functions["F"]

    return function


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(Path(each) for each, _, _ in os.walk(folder, followlinks=True))
        for path in sorted(path.iterdir())
        if path.is_file()
    }


class TestZips:
    def test_one_is_unpacked_into_the_users_cache(self, tmp_path, read):
        pack(tmp_path / "fn.zip", {"app.py": "x", "pkg/__init__.py": "y"})
        folder = read("fn.zip").code
        assert content(folder) == {"app.py": "x", "pkg/__init__.py": "y"}
        assert folder.parent == tmp_path / "cache" / "parley" / "code"

    def test_it_is_unpacked_once_for_each_content(self, tmp_path, read):
        pack(tmp_path / "fn.zip", {"app.py": "x"})
        first = read("fn.zip").code
        assert read("fn.zip").code == first
        pack(tmp_path / "fn.zip", {"app.py": "y"})
        assert content(read("fn.zip").code) == {"app.py": "y"}
        assert content(first) == {"app.py": "x"}

    def test_programs_stay_programs_and_links_links(self, tmp_path, read):
        files = {"bin/tool": "#!/bin/sh", "lib/a.so.1": "a", "lib/a.so": "a.so.1"}
        modes = {"bin/tool": stat.S_IFREG | 0o755, "lib/a.so": stat.S_IFLNK | 0o777}
        pack(tmp_path / "fn.zip", files, modes)
        folder = read("fn.zip").code
        assert os.access(folder / "bin" / "tool", os.X_OK)
        assert not os.access(folder / "lib" / "a.so.1", os.X_OK)
        assert (folder / "lib" / "a.so").readlink() == Path("a.so.1")

    def test_nothing_comes_to_lie_outside(self, tmp_path, read):
        files = {"../above": "1", "/tmp/../absolute": "2", "out": "../..", "out/through": "3", "far": "/etc/passwd"}
        modes = dict.fromkeys(("out", "far"), stat.S_IFLNK | 0o777)
        pack(tmp_path / "fn.zip", files, modes)
        folder = read("fn.zip").code
        assert not [path for path in folder.rglob("*") if path.is_symlink()]
        assert all(path.resolve().is_relative_to(folder) for path in folder.rglob("*"))
        assert [path.name for path in folder.parent.iterdir()] == [folder.name]

    def test_a_broken_one_is_one_message(self, tmp_path, read):
        path = pack(tmp_path / "fn.zip", {"app.py": "x" * 1000})
        path.write_bytes(path.read_bytes().replace(b"xxx", b"yyy", 1))
        with pytest.raises(TemplateError, match=r"Cannot unpack .*fn\.zip: .* Make it again"):
            read("fn.zip")
        assert list((tmp_path / "cache" / "parley" / "code").iterdir()) == []

    def test_more_than_lambda_takes_is_refused(self, tmp_path, read, monkeypatch):
        monkeypatch.setattr(code, "MAX_UNPACKED_BYTES", 10)
        pack(tmp_path / "fn.zip", {"app.py": "x" * 11})
        with pytest.raises(TemplateError, match="it has 11 bytes unpacked, and Lambda takes 10"):
            read("fn.zip")

    def test_what_was_not_used_for_long_is_removed(self, tmp_path, read):
        pack(tmp_path / "fn.zip", {"app.py": "x"})
        old = read("fn.zip").code
        pack(tmp_path / "fn.zip", {"app.py": "y"})
        used = read("fn.zip").code
        os.utime(old, (0, 0))
        pack(tmp_path / "fn.zip", {"app.py": "z"})
        new = read("fn.zip").code
        assert sorted(used.parent.iterdir()) == sorted([used, new])


class TestLayers:
    def test_they_are_put_together_and_the_last_wins(self, tmp_path, read):
        write(tmp_path / "one", {"python/a.py": "1", "python/pkg/x.py": "1", "python/pkg/y.py": "1", "bin/t": "1"})
        write(tmp_path / "two", {"python/a.py": "2", "python/pkg/y.py": "2", "python/pkg/z.py": "2", "lib": "2"})
        assert [content(layer) for layer in read("code", "one", "two").layers] == [
            {
                "lib": "2",
                "bin/t": "1",
                "python/a.py": "2",
                "python/pkg/x.py": "1",
                "python/pkg/y.py": "2",
                "python/pkg/z.py": "2",
            }
        ]
        [layer] = read("code", "two", "one").layers
        assert (content(layer)["python/a.py"], content(layer)["python/pkg/y.py"]) == ("1", "1")

    def test_zips_and_folders_may_be_mixed(self, tmp_path, read):
        write(tmp_path / "one", {"python/a.py": "1"})
        (tmp_path / "zips").mkdir()
        pack(tmp_path / "two", {"python/a.py": "2", "python/b.py": "2"})
        [layer] = read("code", "one", "two").layers
        assert content(layer) == {"python/a.py": "2", "python/b.py": "2"}

    def test_a_folder_and_a_file_of_one_name_are_the_later_one(self, tmp_path, read):
        write(tmp_path / "one", {"python/pkg/x.py": "1"})
        write(tmp_path / "two", {"python/pkg": "2"})
        write(tmp_path / "three", {"python/pkg/z.py": "3"})
        assert content(read("code", "one", "two").layers[0]) == {"python/pkg": "2"}
        assert content(read("code", "one", "two", "three").layers[0]) == {"python/pkg/z.py": "3"}

    def test_a_change_in_a_layers_folder_counts(self, tmp_path, read):
        write(tmp_path / "one", {"python/a.py": "1"})
        write(tmp_path / "two", {"python/b.py": "2"})
        [layer] = read("code", "one", "two").layers
        write(tmp_path / "one", {"python/a.py": "changed"})
        assert content(layer)["python/a.py"] == "changed"

    def test_without_layers_there_is_none(self, read):
        assert read("code").layers == ()
