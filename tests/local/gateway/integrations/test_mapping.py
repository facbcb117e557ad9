"""Mapping templates, by API Gateway's mapping template references."""

import json
import subprocess
import sys

import pytest
from parley.gateway.integrations.mapping import MappingError, render

BODY = json.dumps(
    {
        "type": "ping",
        "text": 'He said "é/½"',
        "n": 1,
        "yes": True,
        "nothing": None,
        "items": [{"id": 1, "on": True}, {"id": 2, "on": False}],
        "map": {"a": "x", "b": "y"},
        "size": "a member",
        "inner": '{"k": [1, 2]}',
    }
)
CONTEXT = {"connectionId": "BFaT_fALIAMCKug=", "identity": {"sourceIp": "127.0.0.1"}, "messageId": None}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ('{"statusCode": 200}', '{"statusCode": 200}'),
        ("$input.body", BODY),
        ("$input.json('$.items[0]')", '{"id":1,"on":true}'),
        ("$input.json('$.text')", '"He said \\"é/½\\""'),
        ("$input.json('$.n')", "1"),
        ("$input.json('$.missing')", '""'),
        ('$input.json("$.items[*].id")', "[1,2]"),
        ("$input.path('$.n')/$input.path('$.yes')/$input.path('$.missing')/$input.path('$.nothing')/", "1/true///"),
        ("$input.path('$.items[1].id')", "2"),
        ("#set($root = $input.path('$'))$root.type, $root.items[1].id, ${root.map.a}, $root.map['b']", "ping, 2, x, y"),
        ("#foreach($item in $input.path('$.items'))$item.id:$item.on#if($foreach.hasNext),#end#end", "1:true,2:false"),
        ("#foreach($value in $input.path('$.map'))$value#end", "xy"),
        ("#foreach($key in $input.path('$.map').keySet())$key#end", "ab"),
        ("#foreach($e in $input.path('$.map').entrySet())$e.key=$e.value;#end", "a=x;b=y;"),
        ("$input.path('$.items').size() $input.path('$.map').size() $input.path('$').size", "2 2 a member"),
        ("#if($input.path('$.yes'))on#{else}off#end", "on"),
        ("#if($input.path('$.items[1].on'))on#{else}off#end", "off"),
        ("#if($input.path('$.yes') == true)same#end", "same"),
        ("#if($input.path('$.missing') == '')none#elseif(1 == 1)some#end", "none"),
        ("$context.connectionId $context.identity.sourceIp|$context.missing|", "BFaT_fALIAMCKug= 127.0.0.1||"),
        ("$stageVariables.colour$stageVariables.missing", "red"),
        ("$util.escapeJavaScript($input.path('$.text'))", r"He said \"\u00E9\/\u00BD\""),
        ("$util.base64Encode('é')$util.base64Decode('w6k=')", "w6k=é"),
        ("$util.urlEncode('a b&c/~*é') $util.urlDecode('a+b%26')", "a+b%26c%2F%7E*%C3%A9 a b&"),
        ("#set($inner = $util.parseJson($input.path('$.inner')))$inner.k[1]", "2"),
        ("$input.path('$.map') $input.path('$.items')", "{a=x, b=y} [{id=1, on=true}, {id=2, on=false}]"),
        ("$input.path('$.type').toUpperCase().substring(1, 3)", "IN"),
        ("a ## a comment\nb #* another *#c", "a b c"),
    ],
)
def test_a_template_maps_a_message(template, text):
    assert render(template, BODY, CONTEXT, {"colour": "red"}) == text


def test_the_whole_context_is_written_as_on_aws():
    assert render("$context", "", CONTEXT, {}) == (
        "{connectionId=BFaT_fALIAMCKug=, identity={sourceIp=127.0.0.1}, messageId=null}"
    )


@pytest.mark.parametrize("body", ["no json", "", "[" * 100_000, '{"a": NaN}'])
def test_a_body_that_is_not_json_has_no_parts_but_a_text(body):
    assert render("$input.body|$input.path('$.a')|$input.json('$.a')", body, {}, {}) == f'{body}||""'


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("#if($a", "line 1"),
        ("#foreach($a in $b)", "#end"),
        ("$input.json('$.a[?(@.b)]')", "not understood"),
        ("$input.json()", "json"),
        ("$util.parseJson('{')", "parseJson"),
        ("$util.base64Decode('é')", "base64Decode"),
        ("#parse('/etc/passwd')", "no loader"),
    ],
)
def test_a_template_that_fails_says_where_and_why(template, told):
    with pytest.raises(MappingError, match=told.replace("$", r"\$")):
        render(template, BODY, CONTEXT, {})


def test_a_template_does_not_change_what_the_next_one_sees():
    assert render("$context.put('stage', 'x')$context.stage", "", CONTEXT, {}) == "x"
    assert render("$context.stage", "", CONTEXT, {}) == ""
    assert "stage" not in CONTEXT


def test_the_template_engine_is_loaded_with_the_first_template_only():
    code = "import sys, parley.gateway.integrations.mapping; sys.exit('airspeed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
