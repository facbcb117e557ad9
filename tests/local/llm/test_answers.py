import pytest
from parley.llm.answers import MAX_QUOTE_CHARS, PromptMessage, answer, tokens


def asked(text: str) -> str:
    return answer([PromptMessage("user", text)])


def test_an_answer_says_what_speaks_and_quotes_the_question():
    text = asked("What is a {Lambda} function?")

    assert "built-in model" in text
    assert "“What is a {Lambda} function?”" in text
    assert "OPENAI_API_KEY" in text


def test_a_russian_question_gets_a_russian_answer():
    text = asked("Что такое Lambda?")

    assert "встроенная модель" in text
    assert "«Что такое Lambda?»" in text


def test_a_long_question_is_quoted_in_part():
    text = asked("x" * (MAX_QUOTE_CHARS + 1))

    assert "x" * MAX_QUOTE_CHARS + "…" in text
    assert "x" * (MAX_QUOTE_CHARS + 1) not in text


def test_the_earlier_messages_are_counted_without_the_system_prompt():
    text = answer(
        [
            PromptMessage("system", "Be kind."),
            PromptMessage("user", "One"),
            PromptMessage("assistant", "Two"),
            PromptMessage("user", "Three"),
        ]
    )

    assert "the system prompt aside: 2." in text


@pytest.mark.parametrize(("question", "shown"), [("Hi", "“Be {kind}. Always.”"), ("Привет", "«Be {kind}. Always.»")])
@pytest.mark.parametrize("role", ["system", "developer"])
def test_the_instructions_are_quoted(role, question, shown):
    text = answer([PromptMessage(role, "Be {kind}.\nAlways."), PromptMessage("user", question)])
    assert shown in text


def test_without_instructions_none_are_mentioned():
    assert asked("Hi") == answer([PromptMessage("system", " "), PromptMessage("user", "Hi")])
    assert "instructions" not in asked("Hi")


def test_the_same_question_gets_the_same_answer():
    assert asked("Hello") == asked("Hello")


@pytest.mark.parametrize("length", [1, 7, 500])
def test_a_long_answer_has_the_length_that_was_asked_for(length):
    assert len(tokens(asked(f"/long {length}"))) == length


def test_a_command_after_a_message_that_was_not_answered_is_one():
    assert len(tokens(asked("/long 100000\n\n/long 3"))) == 3


def test_no_answer_is_longer_than_the_limit():
    assert len(tokens(asked("/long 999999"))) == 100_000


@pytest.mark.parametrize("text", ["", "Hi, there!\n\n  Two  spaces\tand 🙂🙂\r\n", "слово " * 50, "a" * 1000, "-" * 99])
def test_tokens_joined_are_the_text(text):
    assert "".join(tokens(text)) == text


def test_a_token_is_a_word_with_its_space_or_punctuation_or_line_breaks():
    assert tokens("Hello, brave world.\n\nBye") == ["Hello", ",", " brave", " world", ".", "\n\n", "Bye"]


@pytest.mark.parametrize(
    ("text", "images", "shown"),
    [
        (
            'Look\n\n<image name="a &amp; b.png"></image>',
            ("image/png, 3 bytes",),
            "a & b.png. Images that I was shown: image/png",
        ),
        ('<file name="tea.txt" type="text/plain">\nTea\n</file>', (), "tea.txt. Images that I was shown: –."),
        ('Смотри <file name="чай.txt">', (), "приложены файлы: чай.txt."),
        ("Look", ("image/png, 3 bytes",), "came with it: –. Images that I was shown: image/png, 3 bytes."),
    ],
)
def test_the_files_of_a_question_are_named(text, images, shown):
    assert shown in answer([PromptMessage("user", text, images=images)])


def test_files_of_earlier_messages_are_not_named():
    earlier = PromptMessage("user", '<file name="tea.txt">', images=("image/png, 3 bytes",))
    assert "Files that came with it" not in answer(
        [earlier, PromptMessage("assistant", "Tea"), PromptMessage("user", "More?")]
    )
