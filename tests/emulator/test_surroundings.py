"""The surroundings of a function: variables while libraries are imported, own copies of libraries."""

import pytest

LEVELS = """
    import logging, openai
    from pynamodb.settings import get_settings_value

    def handler(event, context):
        return [logging.getLogger("openai").level, get_settings_value("read_timeout_seconds")]
"""

JMESPATH = """
    import jmespath, botocore.paginate

    def handler(event, context):
        return [getattr(each, "WHO", "the machine's") for each in (jmespath, botocore.paginate.jmespath)]
"""


class TestVariables:
    @pytest.mark.fact("functions.import", source="Lambda developer guide")
    async def test_a_library_reads_its_functions_variables_when_it_is_imported(self, serve):
        own = {"loud": {"OPENAI_LOG": "debug"}, "patient": {"PYNAMODB_CONFIG": "patience.py"}}
        service = await serve({"environments_of": own, "environment": {}}, loud=LEVELS, patient=LEVELS, plain=LEVELS)
        (service.folder / "patient" / "patience.py").write_text("read_timeout_seconds = 7")
        answers = {name: await service.answer(name) for name in ("loud", "patient", "plain")}
        assert answers == {"loud": [10, 30], "patient": [0, 7], "plain": [0, 30]}

    async def test_one_that_all_functions_share_is_there_too(self, serve):
        service = await serve({"environment": {"OPENAI_LOG": "debug"}}, one=LEVELS, two=LEVELS)
        assert [(await service.answer(name))[0] for name in ("one", "two")] == [10, 10]

    async def test_one_that_python_reads_at_its_start_counts(self, serve):
        source = "import sys\ndef handler(event, context): return sys.flags.optimize"
        own = {"quick": {"PYTHONOPTIMIZE": "1"}}
        service = await serve({"environments_of": own}, quick=source, plain=source)
        assert await service.answer("quick") == 1
        assert await service.answer("plain") == 0


class TestOwnCopies:
    @pytest.mark.fact("functions.copies", source="Lambda developer guide")
    async def test_a_functions_copy_is_everybodys_in_its_process_and_nobodys_elsewhere(self, serve):
        service = await serve(mine=JMESPATH, other=JMESPATH)
        (service.folder / "mine" / "jmespath.py").write_text("WHO = 'mine'")
        assert await service.answer("mine") == ["mine", "mine"]
        assert await service.answer("other") == ["the machine's", "the machine's"]

    async def test_a_copy_that_comes_while_the_emulator_runs_counts_in_the_next_environment(self, serve):
        service = await serve(f=JMESPATH.replace("return", "event == 'end' and exit(1)\n        return"))
        assert await service.answer("f") == ["the machine's", "the machine's"]
        (service.folder / "f" / "jmespath.py").write_text("WHO = 'mine'")
        await service.failure("f", "end")
        assert await service.answer("f") == ["mine", "mine"]


SEARCHES = """
    import os, shutil, sys

    def handler(event, context):
        found = [__import__(name).WHO for name in event]
        return [found, shutil.which("tool"), os.environ.get("LD_LIBRARY_PATH"), sys.path[0]]
"""


class TestLayers:
    @pytest.fixture
    def layer(self, tmp_path):
        def written(name, files):
            for path, who in files.items():
                (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name / path).write_text(f"WHO = {who!r}")
            return tmp_path / name

        return written

    @pytest.mark.fact("functions.layers", source="Lambda developer guide")
    async def test_modules_come_from_the_code_then_from_the_layers_then_from_the_machine(self, serve, layer):
        site = "python/lib/python3.12/site-packages"
        first = layer("first", {"python/mine.py": "first", "python/both.py": "first", "python/jmespath.py": "first"})
        second = layer("second", {"python/both.py": "python", f"{site}/both.py": "site", f"{site}/deep.py": "site"})
        layer("second", {"python/lib/python3.9/site-packages/mine.py": "another Python"})
        service = await serve({"layers": (first, second), "runtime": "python3.12"}, f=SEARCHES)
        (service.folder / "f" / "own.py").write_text("WHO = 'code'")
        (service.folder / "first" / "python" / "own.py").write_text("WHO = 'first'")
        found, *_ = await service.answer("f", ["own", "mine", "both", "deep", "jmespath"])
        assert found == ["code", "first", "site", "site", "first"]

    @pytest.mark.fact("functions.opt", source="Lambda developer guide")
    async def test_programs_and_libraries_in_c_are_found(self, serve, layer):
        folder = layer("l", {"bin/tool": "#", "lib/libx.so.1": "x"})
        (folder / "bin" / "tool").chmod(0o755)
        service = await serve({"layers": (folder,)}, f=SEARCHES)
        answer = await service.answer("f", [])
        assert answer == [[], str(folder / "bin" / "tool"), str(folder / "lib"), str(service.folder / "f")]

    async def test_modules_of_layers_are_found_inline_too(self, serve, layer):
        folder = layer("l", {"python/only_inline.py": "the layer"})
        service = await serve({"layers": (folder,), "mode": "inline"}, f=SEARCHES)
        assert (await service.answer("f", ["only_inline"]))[0] == ["the layer"]
