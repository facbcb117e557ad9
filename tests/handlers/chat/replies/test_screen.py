"""A screen shows nothing that its hook would have masked, however a text is cut into pieces."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.assistants import Refusal
from handlers.chat.replies.screen import STRIDE, Screen

WINDOW = 24
MASK = "[hidden]"


def digits(text):
    """Mask numbers of seven digits or more: a shorter one may be the end of a longer one."""
    return re.sub(r"\d{7,}", MASK, text)


def spaced(text):
    """Mask numbers in groups, whose mask keeps their beginning."""
    return re.sub(r"\b(\d{4}) \d{4} \d{4} \d{4}\b", r"\1 **** **** ****", text)


def addresses(text):
    return re.sub(r"[a-z]+@[a-z]+\.[a-z]+", MASK, text)


def removed(text):
    return re.sub(r"key-[a-z0-9]{4,}", "", text)


def same(text):
    return text


HOOKS = [digits, spaced, addresses, removed, same]
WORDS = st.one_of(
    st.sampled_from(["a", "One two.", "Yes! ", "\n", "\n\n", " ", "…", "。", "x@y", "12", "key-"]),
    st.integers(10**6, 10 ** (WINDOW - 1)).map(str),
    st.sampled_from(["1234 5678 9012 3456", "joe@example.org", "key-abc123", "john@ex.co", "123456789"]),
    st.integers(1, 2 * STRIDE).map("z".__mul__),
)
TEXTS = st.lists(WORDS, max_size=30).map(" ".join)


@st.composite
def pieces(draw):
    text = draw(TEXTS)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=40)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def shown_by(screen, pieces):
    """Return what is shown after each piece, and at the end."""
    shown = [screen.add(piece) for piece in pieces]
    return [*shown, screen.end()]


@pytest.mark.parametrize("hook", HOOKS)
@given(pieces())
def test_what_is_shown_is_what_the_hook_makes_of_the_whole(hook, pieces):
    assert "".join(shown_by(Screen(hook, WINDOW), pieces)) == hook("".join(pieces))


@given(pieces())
def test_a_hook_that_changes_nothing_holds_back_no_more_than_a_sentence_and_the_window(pieces):
    screen, came, shown = Screen(same, WINDOW), 0, 0
    for piece in pieces:
        came, shown = came + len(piece), shown + len(screen.add(piece))
        ends = [each.end() for each in re.finditer(r"[.!?…]\s|[。\n]", "".join(pieces)[: max(0, came - WINDOW)])]
        assert shown >= min(ends[-1:] or [0])
        assert came - shown <= WINDOW + STRIDE


def test_a_secret_that_straddles_two_sentences_and_many_pieces_is_found():
    secret = re.compile(r"no\. 12 is\. Bob")
    screen = Screen(lambda text: secret.sub(MASK, text), WINDOW)
    text = "First of all. My no. 12 is. Bob, and so on. And more. And more of it, so that it is shown. "
    assert "".join(shown_by(screen, list(text))) == secret.sub(MASK, text)


def test_text_is_shown_while_it_comes():
    shown = shown_by(Screen(digits, WINDOW), ["One sentence. And another one, ", "which goes on and on.", ""])
    assert shown[0] == ""
    assert shown[1].startswith("One sentence. ")
    assert "".join(shown) == "One sentence. And another one, which goes on and on."


def test_a_hook_that_changes_each_text_makes_it_come_at_its_end():
    calls = []

    def strip(text):
        calls.append(len(text))
        return text.strip()

    shown = shown_by(Screen(strip, WINDOW), ["A line. \n"] * 500)
    assert not any(shown[:-1])
    assert shown[-1] == ("A line. \n" * 500).strip()
    # It is not asked again for each piece: the work would grow with the square of the text.
    assert sum(calls) < 60 * len(shown[-1])


def test_a_refusal_of_a_part_alone_is_no_end():
    """Half of what it masks as a whole is what this hook refuses."""

    def hook(text):
        text = text.replace("open. close.", MASK)
        if "open." in text or "close." in text:
            raise Refusal
        return text

    text = "Well, open. close. And then much more of it, so that it is shown."
    assert "".join(shown_by(Screen(hook, WINDOW), [text])) == hook(text)


def test_what_the_hook_raises_ends_the_text():
    def hook(text):
        if "bad" in text:
            raise Refusal("no")
        return text

    screen = Screen(hook, WINDOW)
    assert screen.add("A first sentence. A second sentence. And then ") == "A first sentence. "
    with pytest.raises(Refusal, match="no"):
        screen.add("a bad one, which is never shown. ")


def test_nothing_is_asked_about_a_text_that_is_empty():
    assert shown_by(Screen(lambda text: pytest.fail("asked"), WINDOW), ["", ""]) == ["", "", ""]
