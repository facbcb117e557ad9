"""The animated picture of a terminal: what a program shows, and when."""

import os
import re
import sys
from xml.etree import ElementTree

from tests.support.cast import Frame, Recording, svg

PROGRAM = "print('\\033[36mWhat is it? \\033[0m', end='', flush=True); print(input().upper(), flush=True); input()"


def test_a_program_is_recorded_with_its_keys_and_its_colours():
    recording = Recording([sys.executable, "-c", PROGRAM], {**os.environ, "TERM": "xterm"})
    recording.until(lambda text: "What is it?" in text)
    recording.type("a <chat>\r", pause=0)
    recording.until(lambda text: "A <CHAT>" in text)
    recording.process.kill()
    recording.process.wait()
    rows = [row for row in recording.frames[-1].rows if row]
    assert rows == [
        (("What is it? ", "cyan", False), ("a <chat>", "default", False)),
        (("A <CHAT>", "default", False),),
    ]


def test_each_frame_is_shown_from_its_time_to_that_of_the_next():
    frames = [Frame(10.0, ((("<one>", "default", True),),)), Frame(11.0, ((("two", "5f87ff", False),),))]
    picture = svg(frames, "A & B")
    root = ElementTree.fromstring(picture)
    texts = [(each.text, each.get("fill")) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == [("<one>", "#e8eaee"), ("two", "#5f87ff")]
    assert root.find("{http://www.w3.org/2000/svg}title").text == "A & B"
    # One second, then the last one for as long as it is shown: five seconds in all.
    assert re.findall(r"@keyframes (k\d) \{ (.*) \}", picture) == [
        ("k0", "0.000% { visibility: visible; } 20.000% { visibility: hidden; }"),
        ("k1", "0% { visibility: hidden; } 20.000% { visibility: visible; }"),
    ]
