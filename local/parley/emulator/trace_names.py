"""Names of the trace's API that its clients need, without the API itself."""

from __future__ import annotations

RUN_HEADER, LAST_HEADER = "x-parley-run", "x-parley-last"
"""Headers of an answer: the run of the emulator, whose numbers begin with 1, and the last number that was looked at."""
