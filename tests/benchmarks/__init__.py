"""Benchmarks, run by hand with `make bench`. Results are ratios against something in the same run."""
