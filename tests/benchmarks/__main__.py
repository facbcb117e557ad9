"""Run every benchmark and print its table."""

from rich.console import Console

from tests.benchmarks import cold_start

Console().print(cold_start.table())
