"""The command `parley install-dynamodb`."""

from __future__ import annotations

import os

import click

from parley.cli.options import explained


@click.command("install-dynamodb")
@explained
def install_dynamodb() -> None:
    """Install Dynoxide, the DynamoDB that `parley up` embeds, through npm.

    It goes into your cache folder. If there is no Node of version 20 or later, one from PyPI is used for it and removed
    again. Without Dynoxide the emulator embeds moto, which takes much that AWS refuses.
    """
    from parley.emulator.database import install_embedded

    click.echo(f"Dynoxide is installed: {install_embedded(os.environ)}")


COMMANDS = (install_dynamodb,)
