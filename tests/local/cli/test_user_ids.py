"""The ids that `parley users add` accepts: those that the functions accept."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from parley.cli.deployment import Deployment, _is_user_id
from parley.errors import StartError

from handlers.chat.records import is_user_id

ALPHABET = st.text(st.characters(codec="utf-8") | st.sampled_from("/?%.\n"), max_size=130)


@given(ALPHABET)
@example("..")
@example("org/bob")
@example("a" * 129)
def test_the_command_line_has_the_rule_of_the_functions(user_id):
    assert _is_user_id(user_id) is is_user_id(user_id)


def test_an_impossible_id_is_refused_before_anything_is_written():
    made = []
    with pytest.raises(StartError, match="No user can have the id 'org/bob'"):
        Deployment("users", "", "", made.append).add_user("org/bob", None, ())
    assert made == [], "no client is made, so nothing is called"
