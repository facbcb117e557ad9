"""The files of the built pages over HTTP, the chat page's configuration, and tokens for it."""

import json

import jwt
import pytest
from parley.emulator.options import Address, Options
from parley.emulator.pages import CONTENT_SECURITY_POLICY, Pages
from parley.emulator.request_check import RequestCheck
from parley.template.model import Function, Template

SECRET = "a secret of at least thirty-two bytes"


@pytest.fixture
def folder(tmp_path):
    """Return a folder with two built pages, and with a file beside them that is nobody's."""
    for page in ("chat", "console"):
        (tmp_path / page / "assets").mkdir(parents=True)
        (tmp_path / page / "index.html").write_text(f"<title>{page}</title>")
        (tmp_path / page / "assets" / "main-1A2B.js").write_text(f"// {page}")
    (tmp_path / "secret.txt").write_text("nobody's")
    return tmp_path


@pytest.fixture
def pages(folder):
    """Return pages of a template. It is a chat if it has users."""

    def pages(chat_page=True, is_chat=True, address=None, folder=folder):
        address = address or Address()
        variables = {"USERS_TABLE": "Users"} if is_chat else {}
        functions = {"F": Function("F", "app.f", folder, timeout=3, memory=128, environment=variables)}
        template = Template(functions, (), (), (), chat_page=chat_page)
        check = RequestCheck(address, lambda: True, lambda scope: False)
        return Pages(Options(address=address), lambda: template, lambda: {"JWT_SECRET": SECRET}, check, folder)

    return pages


def get(pages, path, method="GET", client="127.0.0.1", server="127.0.0.1", **headers):
    sent = [(b"host", b"127.0.0.1:8000"), *((k.replace("_", "-").encode(), v.encode()) for k, v in headers.items())]
    return pages.answer(
        {"method": method, "path": path, "headers": sent, "client": (client, 50000), "server": (server, 8000)}
    )


@pytest.mark.parametrize(("path", "page"), [("/", "chat"), ("/_parley/", "console")])
def test_a_page_comes_with_a_strict_policy_and_is_asked_for_again_each_time(pages, path, page):
    answer = get(pages(), path)
    assert (answer.status, answer.body) == (200, f"<title>{page}</title>".encode())
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["cache-control"] == "no-cache"
    assert "unsafe" not in CONTENT_SECURITY_POLICY


@pytest.mark.parametrize(
    ("path", "page"), [("/assets/main-1A2B.js", "chat"), ("/_parley/assets/main-1A2B.js", "console")]
)
def test_a_file_of_a_page_may_be_kept_for_ever(pages, path, page):
    answer = get(pages(), path)
    assert (answer.status, answer.body) == (200, f"// {page}".encode())
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]


def test_head_has_the_length_and_no_body(pages):
    answer = get(pages(), "/", "HEAD")
    assert (answer.status, answer.body, answer.length) == (200, b"", len("<title>chat</title>"))


@pytest.mark.parametrize(
    "path",
    [
        "/assets/missing.js",
        "/assets/",
        "/assets/..",
        "/assets/../index.html",
        "/assets/../../secret.txt",
        "/assets//etc/passwd",
        "/_parley/assets/../../secret.txt",
        "/_parley/assets/../../chat/index.html",
    ],
)
def test_nothing_outside_of_a_page_is_served(pages, path):
    assert get(pages(), path).status == 404


@pytest.mark.parametrize("path", ["/chats", "/index.html", "/_parley/trace", "/_parley/connections"])
def test_other_paths_are_not_the_pages(pages, path):
    assert get(pages(), path) is None


@pytest.mark.parametrize("path", ["/", "/assets/main-1A2B.js", "/config.json"])
def test_a_template_that_does_not_ask_for_the_chat_page_keeps_these_paths(pages, path):
    assert get(pages(chat_page=False), path) is None
    assert get(pages(chat_page=False), "/_parley/").status == 200


def test_the_console_is_found_without_the_slash_at_its_end(pages):
    answer = get(pages(), "/_parley")
    assert (answer.status, answer.headers["location"]) == (308, "/_parley/")


def test_only_get_and_head_are_the_pages(pages):
    assert get(pages(), "/", "POST") is None


def test_pages_that_are_not_built_say_how_to_build_them(pages, tmp_path):
    answer = get(pages(folder=tmp_path / "nothing"), "/")
    assert answer.status == 503
    assert b"make pages" in answer.body


def test_the_own_page_gets_a_token_of_the_first_user_and_the_names_of_all(pages):
    answer = get(pages(), "/config.json", sec_fetch_site="same-origin")
    config = json.loads(answer.body)
    assert jwt.decode(config.pop("token"), SECRET, algorithms=["HS256"])["userId"] == "alice"
    assert config == {"webSocketUrl": "/ws/chat", "httpUrl": "", "users": ["alice", "bob"]}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "request_", [{"sec_fetch_site": "cross-site"}, {"origin": "https://evil.example"}, {"client": "192.168.7.9"}]
)
def test_a_foreign_page_and_another_machine_get_no_token(pages, request_):
    config = json.loads(get(pages(), "/config.json", **request_).body)
    assert config == {"webSocketUrl": "/ws/chat", "httpUrl": ""}


def test_a_name_that_a_page_points_to_this_machine_gets_no_token(pages):
    scope = {
        "method": "GET",
        "path": "/config.json",
        "headers": [(b"host", b"rebound.evil.example:8000")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }
    assert "token" not in json.loads(pages().answer(scope).body)


def test_a_template_without_users_has_no_tokens(pages):
    assert json.loads(get(pages(is_chat=False), "/config.json").body) == {"webSocketUrl": "/ws/chat", "httpUrl": ""}
    assert pages(is_chat=False).answer_token("POST", b'{"userId": "alice"}').status == 404


def test_a_user_of_the_emulator_gets_a_token(pages):
    answer = pages().answer_token("POST", b'{"userId": "bob"}')
    assert jwt.decode(json.loads(answer.body)["token"], SECRET, algorithms=["HS256"])["userId"] == "bob"


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("GET", b"", 405),
        ("POST", b"", 400),
        ("POST", b"[]", 400),
        ("POST", b"[" * 100_000, 400),
        ("POST", b'{"userId": "eve"}', 404),
    ],
)
def test_a_wrong_request_for_a_token_is_refused(pages, method, body, status):
    assert pages().answer_token(method, body).status == status
