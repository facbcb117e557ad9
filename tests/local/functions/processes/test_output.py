"""Output of functions: in the trace, line by line; it never blocks them."""

import os

from parley.functions.processes.output import Output


async def test_lines_are_traced_with_their_invocation(serve):
    service = await serve(
        f="""
            import logging, sys

            def handler(event, context):
                print("to stdout")
                print("to stderr", file=sys.stderr)
                logging.getLogger().warning("logged")
        """
    )
    first, second = await service.invoke("f"), await service.invoke("f")
    lines = service.traced("log")
    assert [line["request_id"] for line in lines] == [first.request_id] * 3 + [second.request_id] * 3
    assert [line["line"] for line in lines[:2]] == ["to stdout", "to stderr"]
    assert lines[2]["line"].startswith("[WARNING]")
    assert lines[2]["line"].endswith("logged")


async def test_output_in_the_pipe_can_be_read_at_once():
    lines = []
    output = Output(lines.append)
    os.write(output.writer, b"first\n\nsecond\r\nthird")
    output.drain()
    assert lines == ["first", "second"]
    output.close()
    assert lines == ["first", "second", "third"]


async def test_lines_come_before_the_end_of_their_invocation(serve):
    service = await serve(f="def handler(event, context): print('last words'); raise SystemExit(1)")
    await service.invoke("f")
    assert [event.kind for event in service.trace.after(0)] == ["start", "log", "end"]


async def test_a_traceback_is_traced_line_by_line(serve):
    service = await serve(f="def handler(event, context):\n    raise ValueError('wrong')")
    await service.invoke("f")
    assert service.lines()[:2] == ["[ERROR] ValueError: wrong", "Traceback (most recent call last):"]
    assert "    raise ValueError('wrong')" in service.lines()


async def test_a_megabyte_does_not_freeze_a_function(serve):
    service = await serve(f="def handler(event, context): print(('y' * 99 + chr(10)) * 10_000)")
    await service.answer("f")
    assert service.lines() == ["y" * 99] * 10_000


async def test_an_enormous_line_is_cut(serve):
    service = await serve(f="def handler(event, context): print('y' * 1_000_000); print('after')")
    await service.answer("f")
    assert service.lines() == ["y" * 8192 + " …", "after"]


async def test_bytes_that_are_no_text_are_shown_as_far_as_possible(serve):
    service = await serve(f="import os\ndef handler(event, context): os.write(1, bytes(range(128, 256)) + b'z\\n')")
    await service.answer("f")
    [line] = service.lines()
    assert line.endswith("z")
