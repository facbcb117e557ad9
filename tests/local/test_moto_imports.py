"""Imports of moto: one thread at a time, whoever needs which part of it first."""

import subprocess
import sys

PROGRAM = """
import sys, threading, time
from itertools import groupby
from pathlib import Path

from parley.aws_services import AwsServices
from parley.clock import Clock
from parley.dynamodb.fallback.engine import Moto
from parley.trace import Trace

importers = []

class Witness:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "moto":
            importers.append(threading.current_thread().name)
            time.sleep(0.001)  # another thread may run now

sys.meta_path.insert(0, Witness())
clock = Clock()
embedded = Moto(clock, "a test")
services = AwsServices("http://127.0.0.1", Trace(), clock)
others = [threading.Thread(target=services._handler, args=[name], name=name) for name in ("sqs", "ssm")]
for thread in others:
    thread.start()
for thread in others:
    thread.join()
embedded._handler.result()
print(len([name for name, _ in groupby(importers)]), len(set(importers)))
"""


def test_no_two_threads_import_moto_at_the_same_time():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    turns, threads = map(int, done.stdout.split())
    assert turns == threads > 1


PARAMETERS = """
import asyncio, sys

from parley.aws_services import AwsServices, Resources
from parley.clock import Clock
from parley.template.model import Parameter, Queue
from parley.trace import Trace

async def main():
    services = AwsServices("http://127.0.0.1", Trace(), Clock())
    await services.provision(Resources((Queue("work"),), (Parameter("/a", "value"),)))
    await services.send("arn:aws:sqs:us-east-1:000000000000:work", "hello", {})
    print([each["Body"] for each in await services.receive("work", 1)], "moto.ssm" in sys.modules)

asyncio.run(main())
"""


def test_a_message_to_a_queue_does_not_load_ssm_which_takes_a_second():
    done = subprocess.run([sys.executable, "-c", PARAMETERS], capture_output=True, text=True, check=True)
    assert done.stdout == "['hello'] False\n"
