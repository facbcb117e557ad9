import os
import stat
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from parley import dev_tokens

SECRET = "a-secret-of-the-test-with-32-bytes-or-more"


def test_a_token_names_its_user_and_lasts_twelve_hours():
    before = datetime.now(UTC)

    claims = jwt.decode(dev_tokens.token("alice", SECRET), SECRET, algorithms=["HS256"])

    assert claims["userId"] == "alice"
    assert claims["exp"] - claims["iat"] == 12 * 3600
    assert int(before.timestamp()) <= claims["iat"] <= datetime.now(UTC).timestamp()


def test_a_token_runs_out_when_asked():
    stale = dev_tokens.token("alice", SECRET, timedelta(seconds=-1))

    with pytest.raises(jwt.ExpiredSignatureError):
        jwt.decode(stale, SECRET, algorithms=["HS256"])


def test_a_token_of_another_secret_is_not_accepted():
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(dev_tokens.token("alice", SECRET), SECRET + "!", algorithms=["HS256"])


def test_the_secret_comes_from_the_environment():
    assert dev_tokens.secret({"JWT_SECRET": SECRET}) == SECRET


@pytest.mark.parametrize("also", [{}, {"JWT_SECRET": ""}])
def test_without_one_it_is_random_and_kept_for_this_user_alone(tmp_path, also):
    environ = {"XDG_CACHE_HOME": str(tmp_path)} | also
    secret = dev_tokens.secret(environ)
    assert len(secret.encode()) >= 32
    assert dev_tokens.secret(environ) == secret
    assert dev_tokens.secret({"HOME": str(tmp_path)}) != secret
    assert stat.S_IMODE((tmp_path / "parley" / "secret").stat().st_mode) == 0o600


def spoil_mode(file):
    file.chmod(0o644)


def shorten(file):
    file.write_text("short")


def empty(file):
    file.write_text("")


def link_elsewhere(file):
    elsewhere = file.with_name("elsewhere")
    file.rename(elsewhere)
    file.symlink_to(elsewhere)


def write_bytes(file):
    file.write_bytes(b"\xff" * 4)


@pytest.mark.parametrize("spoil", [spoil_mode, shorten, empty, link_elsewhere, write_bytes])
def test_one_that_others_may_know_or_that_is_none_is_replaced(tmp_path, spoil):
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    before = dev_tokens.secret(environ)
    file = tmp_path / "parley" / "secret"
    spoil(file)
    after = dev_tokens.secret(environ)
    assert after != before
    assert dev_tokens.secret(environ) == after
    assert (stat.S_IMODE(file.lstat().st_mode), file.is_symlink()) == (0o600, False)


def test_all_that_start_at_once_agree(tmp_path):
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    barrier = threading.Barrier(8)

    def first_use(_):
        barrier.wait()
        return dev_tokens.secret(environ)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(first_use, range(8)))) == 1


class TestWithoutAHome:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        """The folder of this user in a temporary folder that others use too."""
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        dev_tokens._new_folder.cache_clear()
        yield tmp_path / f"parley-{os.getuid()}"
        dev_tokens._new_folder.cache_clear()

    def test_the_secret_is_the_same_for_each_process(self, folder):
        assert dev_tokens.secret({}) == dev_tokens.secret({})
        assert (folder / "secret").exists()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_a_folder_that_others_may_enter_is_not_used(self, folder):
        folder.mkdir()
        folder.chmod(0o777)
        (folder / "secret").write_text("x" * 40)
        (folder / "secret").chmod(0o600)
        secret = dev_tokens.secret({})
        assert secret != "x" * 40
        assert dev_tokens.secret({}) == secret

    def test_a_link_is_not_followed(self, folder, tmp_path):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir(mode=0o700)
        folder.symlink_to(elsewhere)
        dev_tokens.secret({})
        assert list(elsewhere.iterdir()) == []
