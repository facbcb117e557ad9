"""The chat page and strangers: nothing in their texts runs or loads, and a person signs in by a token or a provider."""

import re
import time
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from parley.dev_tokens import token
from playwright.sync_api import expect

from tests.support.chat_page import ChatPage
from tests.support.devices import SECRET

CORPUS = (
    "<script>hit()</script>",
    "<img src=x onerror=hit()>",
    "<img src='https://evil.example/x.png'>",
    "<svg onload=hit()><animate onbegin=hit() attributeName=x></svg>",
    "<svg><style><img src=x onerror=hit()></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=hit()&gt;'>",
    "<iframe src='javascript:parent.hit()'></iframe>",
    "<iframe srcdoc='<script>parent.hit()</script>'></iframe>",
    "<object data='javascript:hit()'></object><embed src='javascript:hit()'>",
    "<form action='javascript:hit()'><input name=x autofocus onfocus=hit()><button>go</button></form>",
    "<a href='javascript:hit()'>a</a> <a href='  java\nscript:hit()'>b</a> <a href='vbscript:hit()'>c</a>",
    "[a](javascript:hit()) [b](JaVaScRiPt:hit()) [c](data:text/html,<script>hit()</script>) [d](&#106;avascript:hit())",
    "![a](javascript:hit()) ![b](data:image/svg+xml,<svg/onload=hit()>) ![c](http://evil.example/x.png)",
    '<https://example.com/"onmouseover="hit()>',
    '[a](https://example.com/ "title\\" onmouseover=hit() ")',
    "<div style='position:fixed;inset:0;background:url(https://evil.example/)' class='dialog' id='app'>cover</div>",
    "<style>*{display:none}</style><link rel=stylesheet href='https://evil.example/x.css'><base href='https://evil.example/'>",
    "<meta http-equiv=refresh content='0;url=javascript:hit()'>",
    "<details open ontoggle=hit()><summary>s</summary></details><video><source onerror=hit()></video>",
    '```html" onclick="hit()\n<script>hit()</script>\n```',
    "```js\n</code></pre><script>hit()</script>\n```",
    "<noscript><p title='</noscript><img src=x onerror=hit()>'></noscript>",
    "| <img src=x onerror=hit()> |\n|---|\n| <script>hit()</script> |",
    "[x]: javascript:hit()\n\n[x]",
)
"""Texts that would call `hit`, load something or cover the page, if the page took them for more than text."""

SCREEN = """
() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const foreign = "main script, iframe, object, embed, form[action], base, meta[http-equiv], link[href*=evil],"
    + "article style, article svg:not(.icon), article input";
  const handlers = all("*").flatMap((each) => [...each.attributes].filter(
    ({name}) => name.startsWith("on") || (name === "style" && each.closest(".markdown"))));
  const addresses = all("article [href], article [src]").map(
    (each) => each.getAttribute("href") ?? each.getAttribute("src"));
  const harmless = /^(https?:|mailto:|blob:|data:image.(png|jpeg|gif|webp);base64)/i;
  return {
    hits: window.hits,
    elements: all(foreign).map((each) => each.outerHTML),
    handlers: handlers.map(({name, value}) => `${name}=${value}`),
    addresses: addresses.filter((url) => !harmless.test(url)),
  };
}
"""
CLEAN = {"hits": 0, "elements": [], "handlers": [], "addresses": []}


@pytest.fixture
def arrive(project, person):
    """Opens the page in a browser whose loads from other hosts are noted, and whose `hit()` is counted."""

    def arrived(**options):
        anna = person(**options)
        anna.reads_foreign_text = True
        anna.context.add_init_script("window.hits = 0; window.hit = () => { window.hits += 1 }")
        page = anna.context.new_page()
        page.loaded = []
        page.on("request", lambda request: page.loaded.append(request.url))
        return page

    return arrived


def foreign(page, project):
    """Return what the page has asked other hosts for."""
    own = urlsplit(project.url).netloc
    return [url for url in page.loaded if urlsplit(url).netloc not in ("", own)]


def test_nothing_in_a_reply_runs_or_loads(project, arrive):
    page = arrive()
    page.goto(project.url)
    chat = ChatPage(page)
    chat.choose("Writer")
    for first in range(0, len(CORPUS), 8):
        chat.ask("say\n\n" + "\n\n".join(CORPUS[first : first + 8]))
        assert page.evaluate(SCREEN) == CLEAN
    assert foreign(page, project) == []


def test_an_image_of_the_web_is_loaded_only_if_the_person_asks_for_it(project, arrive):
    page = arrive()
    page.route("https://pictures.example/*", lambda route: route.fulfill(body=b"", content_type="image/png"))
    page.goto(project.url)
    chat = ChatPage(page)
    chat.choose("Writer")
    chat.ask("say ![a cat](https://pictures.example/cat.png?secret)")
    assert foreign(page, project) == []
    with page.expect_request("https://pictures.example/cat.png?secret") as request:
        page.get_by_role("button", name="Show the image from pictures.example").click()
    assert "referer" not in request.value.headers


def test_nothing_in_parts_titles_and_names_of_files_runs_or_loads(project, arrive):
    page = arrive()
    page.goto(project.url)
    chat = ChatPage(page)
    chat.choose("Writer")
    bad = " ".join(CORPUS[:8])
    for part in chat.ask("parts " + bad).locator("summary").all():
        part.click()
    chat.ask("refuse " + bad)
    page.locator("input[type=file]").set_input_files(
        {"name": "<img src=x onerror=hit()>.txt", "mimeType": "text/plain", "buffer": b"<script>hit()</script>"}
    )
    expect(page.locator(".upload.ready")).to_have_count(1)
    chat.ask("see the file")
    chat.act("Rename")
    page.get_by_role("textbox", name="Title").fill("<img src=x onerror=hit()><script>hit()</script>")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("<script>")
    assert page.evaluate(SCREEN) == CLEAN
    assert foreign(page, project) == []


def test_code_is_copied_as_it_was_written(project, arrive):
    page = arrive(permissions=["clipboard-read", "clipboard-write"])
    page.goto(project.url)
    chat = ChatPage(page)
    chat.choose("Writer")
    chat.ask("say\n\n```js\nif (a < b && c) { run('<b>') }\n```")
    page.get_by_role("button", name="Copy the code").click()
    expect(page.get_by_role("button", name="Copy the code")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()").strip() == "if (a < b && c) { run('<b>') }"


def settings(page, project, **fields):
    """Answer /config.json as a site on AWS would: without a token."""
    config = {"webSocketUrl": "/ws/chat", "httpUrl": "", **fields}
    page.route("**/config.json", lambda route: route.fulfill(json=config))
    page.goto(project.url)


def test_a_person_signs_in_with_a_token_until_the_tab_is_closed(project, arrive):
    page = arrive()
    settings(page, project)
    chat = ChatPage(page)
    assert chat.violations() == []
    page.get_by_label("Token").fill("no.good.token")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The token was refused. It may have expired.")
    assert chat.violations() == []
    page.get_by_label("Token").fill(token("bob", SECRET))
    page.get_by_role("button", name="Sign in").click()
    chat.ask("It is me")
    page.reload()
    expect(chat.replies).to_have_count(1)
    expect(page.locator(".person-name")).to_have_text("bob")
    chat.settings().get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Token")).to_be_visible()


def test_a_person_signs_in_at_a_provider_by_a_code_with_pkce(project, arrive):
    issuer = "https://login.example"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    asked = {}

    def discovery(route):
        ends = {"authorization_endpoint": f"{issuer}/authorize", "token_endpoint": f"{issuer}/token"}
        route.fulfill(json={"issuer": issuer, **ends}, headers=headers)

    def authorize(route):
        asked.update({name: values[0] for name, values in parse_qs(urlsplit(route.request.url).query).items()})
        back = f"{asked['redirect_uri']}?code=the-code&state={asked['state']}"
        route.fulfill(status=302, headers={"location": back})

    def exchange(route):
        sent = {name: values[0] for name, values in parse_qs(route.request.post_data).items()}
        asked["verifier"], asked["code"] = sent["code_verifier"], sent["code"]
        now = int(time.time())
        claims = {
            "iss": issuer,
            "aud": "the-page",
            "nonce": asked["nonce"],
            "sub": "bob",
            "iat": now,
            "exp": now + 600,
        }
        answer = {"access_token": token("bob", SECRET), "token_type": "Bearer"}
        answer["id_token"] = jwt.encode(claims | {"nonce": asked["nonce"]}, key, algorithm="RS256")
        route.fulfill(json=answer, headers=headers)

    headers = {"access-control-allow-origin": "*"}
    page = arrive()
    page.route(f"{issuer}/.well-known/openid-configuration", discovery)
    page.route(re.compile(f"{issuer}/authorize"), authorize)
    page.route(f"{issuer}/token", exchange)
    settings(page, project, provider={"issuer": issuer, "clientId": "the-page", "use": "access_token"})
    assert ChatPage(page).violations() == []
    page.get_by_role("button", name="Sign in with login.example").click()
    expect(page.locator(".person-name")).to_have_text("bob")
    assert (asked["response_type"], asked["code_challenge_method"], asked["code"]) == ("code", "S256", "the-code")
    assert "code=" not in page.url
    ChatPage(page).ask("It is me")
    page.reload()
    expect(page.locator(".person-name")).to_have_text("bob")
