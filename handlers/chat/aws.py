"""The one AWS session of a process. Every further session would read botocore's service files again.

Endpoints come from botocore's own variables (`AWS_ENDPOINT_URL_DYNAMODB`, …); nothing here names one.
"""

from __future__ import annotations

import boto3
import botocore.session
from botocore.config import Config

USER_AGENT = "parley"

BOTOCORE_SESSION = botocore.session.get_session()
# Without a name botocore puts together a long one, twice for each request: a seventh of the CPU that it takes.
BOTOCORE_SESSION.set_default_client_config(Config(user_agent=USER_AGENT))
SESSION = boto3.session.Session(botocore_session=BOTOCORE_SESSION)

CONNECT_TIMEOUT_SECONDS = 2
READ_TIMEOUT_SECONDS = 5
"""botocore's own 60 seconds are longer than the 29 that an integration has."""

RETRIES = 3
CONFIG = Config(
    connect_timeout=CONNECT_TIMEOUT_SECONDS,
    read_timeout=READ_TIMEOUT_SECONDS,
    retries={"mode": "standard", "total_max_attempts": 1 + RETRIES},
    # The relay posts from one thread for each device in a chat, and each thread needs a connection at once.
    max_pool_connections=50,
)
