"""An emulator that tells how many objects it keeps. Run as a program, it is that emulator."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from itertools import count
from pathlib import Path

from tests.support.devices import Emulator
from tests.support.kept_objects import kept
from tests.support.waiting import until


class CountedEmulator(Emulator):
    """An emulator that counts when it is asked to, into files of a folder."""

    command = (sys.executable, "-m", "tests.support.counted_emulator")

    def __init__(self, folder: Path, **variables: str) -> None:
        self._files = (folder / str(number) for number in count())
        super().__init__(COUNTS=str(folder), **variables)

    def kept(self) -> Counter[str]:
        """Count the objects of the emulator's own classes and of moto's, by class."""
        self.process.send_signal(signal.SIGUSR1)
        file = next(self._files)
        until(file.exists)
        return Counter(json.loads(file.read_text()))


def main() -> None:
    """Run the command `parley`, and write the counts at each SIGUSR1."""
    from parley.cli.main import main

    folder, numbers = Path(os.environ["COUNTS"]), count()

    def write(*_: object) -> None:
        # Not printed: the signal may come while the emulator prints.
        unfinished = folder / "unfinished"
        unfinished.write_text(json.dumps(kept("parley", "moto")))
        unfinished.rename(folder / str(next(numbers)))

    signal.signal(signal.SIGUSR1, write)
    main()


if __name__ == "__main__":
    main()
