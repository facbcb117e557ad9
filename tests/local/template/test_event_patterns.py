"""Event patterns: the operators of EventBridge's user guide."""

import pytest
from parley.template.event_patterns import InvalidPattern, check, matches

EVENT = {
    "source": "my.app",
    "detail-type": "Order Placed",
    "detail": {
        "state": "running",
        "count": 5,
        "flag": True,
        "none": None,
        "empty": "",
        "tags": ["a", "b"],
        "ip": "10.0.0.7",
        "file": "dir/lib/x.png",
        "items": [{"id": 1, "kind": "book"}, {"id": 2, "kind": "pen"}],
    },
}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": ["my.app"]}, True),
        ({"source": ["other", "my.app"], "detail-type": ["Order Placed"]}, True),
        ({"source": ["my.app"], "detail-type": ["Other"]}, False),
        ({"missing": ["x"]}, False),
        ({"detail": {"state": ["running"]}}, True),
        ({"detail": {"state": {"deeper": ["x"]}}}, False),
        ({"detail": {"count": [5]}}, True),
        ({"detail": {"count": [5.0]}}, True),
        ({"detail": {"count": ["5"]}}, False),
        ({"detail": {"flag": [True]}}, True),
        ({"detail": {"flag": [1]}}, False),
        ({"detail": {"none": [None]}}, True),
        ({"detail": {"empty": [""]}}, True),
        ({"detail": {"tags": ["b", "c"]}}, True),
        ({"detail": {"tags": ["c"]}}, False),
        ({"detail": {"state": [{"prefix": "run"}]}}, True),
        ({"detail": {"state": [{"prefix": "Run"}]}}, False),
        ({"detail": {"state": [{"prefix": {"equals-ignore-case": "RUN"}}]}}, True),
        ({"detail": {"file": [{"suffix": ".png"}]}}, True),
        ({"detail": {"file": [{"suffix": {"equals-ignore-case": ".PNG"}}]}}, True),
        ({"detail": {"state": [{"equals-ignore-case": "RUNNING"}]}}, True),
        ({"detail": {"file": [{"wildcard": "dir/*.png"}]}}, True),
        ({"detail": {"file": [{"wildcard": "*/lib/*"}]}}, True),
        ({"detail": {"file": [{"wildcard": "dir/\\*.png"}]}}, False),
        ({"detail": {"file": [{"wildcard": "dir.lib*"}]}}, False),
        ({"detail": {"state": [{"anything-but": "stopped"}]}}, True),
        ({"detail": {"state": [{"anything-but": ["stopped", "running"]}]}}, False),
        ({"detail": {"count": [{"anything-but": [1, 2]}]}}, True),
        ({"detail": {"state": [{"anything-but": {"prefix": "run"}}]}}, False),
        ({"detail": {"state": [{"anything-but": {"prefix": ["stop", "run"]}}]}}, False),
        ({"detail": {"file": [{"anything-but": {"suffix": ".jpg"}}]}}, True),
        ({"detail": {"file": [{"anything-but": {"wildcard": "*/lib/*"}}]}}, False),
        ({"detail": {"state": [{"anything-but": {"equals-ignore-case": "RUNNING"}}]}}, False),
        ({"detail": {"missing": [{"anything-but": "x"}]}}, False),
        ({"detail": {"count": [{"numeric": [">", 0, "<=", 5]}]}}, True),
        ({"detail": {"count": [{"numeric": ["=", 5.0]}]}}, True),
        ({"detail": {"count": [{"numeric": ["<", 5]}]}}, False),
        ({"detail": {"state": [{"numeric": [">", 0]}]}}, False),
        ({"detail": {"ip": [{"cidr": "10.0.0.0/24"}]}}, True),
        ({"detail": {"ip": [{"cidr": "10.0.1.0/24"}]}}, False),
        ({"detail": {"state": [{"cidr": "10.0.1.0/24"}]}}, False),
        ({"detail": {"state": [{"exists": True}]}}, True),
        ({"detail": {"state": [{"exists": False}]}}, False),
        ({"detail": {"missing": [{"exists": False}]}}, True),
        ({"detail": {"missing": {"deeper": [{"exists": False}]}}}, True),
        ({"detail": [{"exists": True}]}, False),
        ({"detail": {"missing": ["x", {"exists": False}]}}, True),
        ({"detail": {"items": {"id": [1], "kind": ["book"]}}}, True),
        ({"detail": {"items": {"kind": ["pen", "cup"]}}}, True),
        ({"detail": {"items": {"kind": ["cup"]}}}, False),
        ({"$or": [{"source": ["x"]}, {"detail": {"count": [5]}}]}, True),
        ({"detail": {"$or": [{"count": [1]}, {"state": ["x"]}]}}, False),
        ({"source": ["x"], "$or": [{"source": ["my.app"]}, {"source": ["y"]}]}, False),
    ],
)
def test_a_pattern_matches_or_does_not(pattern, expected):
    check(pattern)
    assert matches(pattern, EVENT) is expected


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ({}, "the pattern must be an object"),
        ([], "the pattern must be an object"),
        ({"source": "my.app"}, "source must be a list"),
        ({"source": []}, "source must be a list of values that is not empty"),
        ({"detail": {}}, "detail must be an object that is not empty"),
        ({"detail": {"a": [["b"]]}}, "detail.a has a list in its list"),
        ({"detail": {"a": [{"contains": "b"}]}}, "detail.a has the operator contains"),
        ({"detail": {"a": [{}]}}, "detail.a has the operator none"),
        ({"detail": {"a": [{"prefix": 1}]}}, "which prefix does not take"),
        ({"detail": {"a": [{"numeric": [">"]}]}}, "which numeric does not take"),
        ({"detail": {"a": [{"numeric": ["~", 1]}]}}, "which numeric does not take"),
        ({"detail": {"a": [{"cidr": "x"}]}}, "which cidr does not take"),
        ({"detail": {"a": [{"exists": "yes"}]}}, "which exists does not take"),
        ({"detail": {"a": [{"anything-but": {"numeric": [">", 1]}}]}}, "which anything-but does not take"),
        ({"$or": [{"source": ["a"]}]}, "or must be a list of two or more patterns"),
    ],
)
def test_what_eventbridge_refuses_is_refused(pattern, why):
    with pytest.raises(InvalidPattern) as refusal:
        check(pattern)
    assert why in str(refusal.value)
