"""Arguments that a shell may pass and no command can use."""

import pytest

from tests.support import commands

NOT_UTF8 = "\udcff"
"""As Python passes on the byte 255."""


@pytest.mark.parametrize(
    "arguments",
    [
        *(["trace", "--function"], ["logs", "--connection"], ["replay"], ["save"], ["trigger"], ["close"], ["token"]),
        *(["users", "disable"], ["send", "alice"], ["broadcast"], ["state", "save"], ["up", "--stage"]),
        ["chat", "--url"],
    ],
    ids=" ".join,
)
def test_what_is_not_utf_8_is_refused(arguments, tmp_path):
    done = commands.run(*arguments, f"a{NOT_UTF8}", folder=tmp_path, variables=commands.environment(0))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("\nError: The argument a� has bytes that are not UTF-8.\n")
