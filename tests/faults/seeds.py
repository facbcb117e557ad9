"""The seed of a run, and bugs that are seeded to see that a check finds them."""

import os
import random

SEED = int(os.environ.get("PARLEY_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)


def seed_bug(monkeypatch, owner, name, make):
    """Put another function in place of one, made from that one."""
    monkeypatch.setattr(owner, name, make(getattr(owner, name)))
