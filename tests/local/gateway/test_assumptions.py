"""The switches for what is not known of AWS."""

import pytest
from parley.gateway.assumptions import Assumptions


def test_each_is_set_by_its_name():
    assumptions = Assumptions.of(["connect_null=open", "ping=keeps-alive"])
    assert assumptions == Assumptions(connect_null="open", ping="keeps-alive")


@pytest.mark.parametrize("given", ["connect_null", "connect_null=maybe", "colour=red", "=", ""])
def test_an_unknown_assumption_is_refused_with_the_known_ones(given):
    with pytest.raises(ValueError, match=r"connect_null=refused\|open"):
        Assumptions.of([given])


def test_the_first_choice_of_each_is_its_default():
    assert all(getattr(Assumptions(), name) == values[0] for name, values in Assumptions.choices().items())
