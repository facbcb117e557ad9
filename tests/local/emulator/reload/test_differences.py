"""Differences of two readings of a template."""

from dataclasses import replace
from pathlib import Path

import pytest
from parley.emulator.reload.differences import changed_functions, is_in, kept, refusal, summary
from parley.template.model import EventSource, Function, HttpApi, Parameter, Queue, Stage, Table, Template, WebSocketApi


def function(name: str, **more: object) -> Function:
    return replace(Function(name, "app.f", Path("/code"), 3.0, 128, {}, sources=(Path("/code"),)), **more)  # type: ignore[arg-type]


def table(key: str = "id", kind: str = "S", **more: object) -> Table:
    definition = {
        "TableName": "rows",
        "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": kind}],
        **more,
    }
    return Table("rows", definition, None)


EMPTY = Template({}, (), (), ())
INDEX = [{"IndexName": "by", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}]


@pytest.mark.parametrize("other", [table("other"), table(kind="N"), table(LocalSecondaryIndexes=INDEX)])
def test_other_keys_are_refused_and_the_reset_is_named(other):
    before, after = replace(EMPTY, tables=(table(),)), replace(EMPTY, tables=(other,))
    assert "rows" in refusal(before, after)
    assert "`parley state reset`" in refusal(before, after)


@pytest.mark.parametrize(
    "tables", [(), (table(),), (table(GlobalSecondaryIndexes=INDEX),), (Table("more", {}, None), table())]
)
def test_what_keeps_the_keys_is_taken(tables):
    assert refusal(replace(EMPTY, tables=(table(),)), replace(EMPTY, tables=tables)) == ""


def test_a_function_is_as_before_though_its_layers_are_put_together_in_another_folder():
    sources = (Path("/code"), Path("/one"), Path("/two"))
    before = {"f": function("f", layers=(Path("/tmp/opt-1"),), sources=sources)}
    after = {"f": function("f", layers=(Path("/tmp/opt-2"),), sources=sources)}
    assert kept(before, after, set()) == before
    assert kept(before, after, {Path("/one/python/a.py")}) == after
    assert kept(before, {"f": replace(after["f"], timeout=4.0)}, set())["f"].timeout == 4.0


def test_functions_that_differ_or_are_new_or_gone_have_changed():
    before = {"same": function("same"), "other": function("other"), "gone": function("gone")}
    after = {"same": function("same"), "other": function("other", memory=256), "new": function("new")}
    assert changed_functions(before, after) == {"other", "gone", "new"}


def test_a_file_is_in_a_folder_and_in_itself():
    assert is_in([Path("/a"), Path("/b.zip")], {Path("/a/b/c.py")})
    assert is_in([Path("/b.zip")], {Path("/b.zip")})
    assert not is_in([Path("/a")], {Path("/ab/c.py")})


def test_a_summary_names_what_is_new_gone_and_changed():
    api = WebSocketApi("Api", "a", (Stage("live"), Stage("old")), "", {})
    before = replace(
        EMPTY,
        functions={"f": function("f"), "g": function("g")},
        websocket_apis=(api,),
        http_apis=(HttpApi("Http", "h", "$default", ()),),
        tables=(table(),),
        queues=(Queue("q"),),
        parameters=(Parameter("/p", "1"),),
    )
    after = replace(
        EMPTY,
        functions={"f": function("f", memory=256), "h": function("h")},
        websocket_apis=(replace(api, stages=(Stage("live", {"a": "b"}),)),),
        tables=(table(BillingMode="PROVISIONED"), Table("more", {}, None)),
        parameters=(Parameter("/p", "2"),),
        event_sources=(EventSource("q", "h"),),
    )
    assert summary(before, after) == [
        *("-g", "f", "+h", "-Api/old", "Api/live", "-Http", "+more", "rows (from the next start on)"),
        *("-q (kept until the next start)", "/p", "event sources"),
    ]
    assert summary(before, before) == []
