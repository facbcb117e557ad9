"""The account and the region that the emulator stands for. ARNs, events and endpoints name them."""

from __future__ import annotations

ACCOUNT_ID = "000000000000"
REGION = "us-east-1"
