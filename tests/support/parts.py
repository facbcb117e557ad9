"""Parts of replies, one of each kind and any that hypothesis thinks of."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from handlers.chat.records import Part, PartKind, PartState

REASONING = Part(PartKind.REASONING, 0, text="Hm.")
REFUSAL = Part(PartKind.REFUSAL, 0, text="No.")
CALL = Part(PartKind.TOOL_CALL, 0, call_id="m-1-0", name="weather", arguments="{}", state=PartState.RUNNING)
SOURCE = Part(PartKind.SOURCE, 0, url="https://example.org", name="Tea")

_ALPHABET = 'a"\\\n\x01Ж🙂\u2028'


def parts_of_replies(scale: int = 1) -> st.SearchStrategy[Part]:
    """Return parts of every kind, whose texts are up to 5 times `scale` characters long."""
    text = st.text(_ALPHABET, max_size=5).map(lambda few: few * scale)
    place: dict[str, Any] = {"index": st.integers(0, 300), "offset": st.integers(0, 2**53 - 1)}
    return st.one_of(
        st.builds(Part, st.sampled_from([PartKind.REASONING, PartKind.REFUSAL]), text=text, **place),
        st.builds(
            Part,
            st.just(PartKind.TOOL_CALL),
            call_id=st.sampled_from(["m-1-0", "m-1-1"]),
            name=text,
            arguments=text,
            state=st.sampled_from(PartState),
            result=st.none() | text,
            **place,
        ),
        st.builds(Part, st.just(PartKind.SOURCE), url=text, name=text, text=text, **place),
    )
