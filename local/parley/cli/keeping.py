"""The commands `parley state …`: what the emulator keeps in its data folder."""

from __future__ import annotations

from pathlib import Path

import click

from parley.cli.options import Decorator, explained

# The commands import the folder themselves: `parley --help` needs no database.

_DATA_OPTION: Decorator = click.option(
    "--data",
    "folder",
    type=click.Path(path_type=Path),
    default=Path(".parley"),
    envvar="PARLEY_DATA",
    show_envvar=True,
    help="The data folder of the emulator.",
)
_FORCE_OPTION: Decorator = click.option("--force", is_flag=True, help="Replace one that is there.")
_BEFORE = "The state before is saved as `previous`."


@click.group()
def state() -> None:
    """Save, restore and move what the emulator keeps: tables, queues and accepted events."""


@state.command(name="list")
@_DATA_OPTION
@explained
def list_states(folder: Path) -> None:
    """Print the saved states, the newest first: name, time, size."""
    from parley.emulator.state.saved import states

    found = states(folder)
    for each in found:
        click.echo(f"{each.name}\t{each.made:%Y-%m-%d %H:%M:%S}\t{each.size / 1024:.0f} KB")
    if not found:
        click.echo(f"No state is saved in {folder}.", err=True)


@state.command()
@click.argument("name")
@_FORCE_OPTION
@_DATA_OPTION
@explained
def save(name: str, force: bool, folder: Path) -> None:
    """Save the current state as NAME. The emulator may run meanwhile."""
    from parley.emulator.state import saved

    saved.save(folder, name, replaces=force)
    click.echo(f"Saved as {name}. `parley state restore {name}` brings it back.")


@state.command()
@click.argument("name")
@_DATA_OPTION
@explained
def restore(name: str, folder: Path) -> None:
    """Bring the saved state NAME back, while no emulator runs."""
    from parley.emulator.state import saved

    saved.restore(folder, name)
    click.echo(f"Restored {name}. {_BEFORE}" if name != "previous" else "Restored. The state before is now `previous`.")


@state.command()
@_DATA_OPTION
@explained
def reset(folder: Path) -> None:
    """Begin anew with empty tables and queues, while no emulator runs."""
    from parley.emulator.state import saved

    saved.reset(folder)
    click.echo(f"The next emulator begins with nothing. {_BEFORE}")


@state.command()
@click.argument("file", type=click.Path(path_type=Path))
@_FORCE_OPTION
@_DATA_OPTION
@explained
def export(file: Path, force: bool, folder: Path) -> None:
    """Write the current state into FILE, a zip, for another folder or machine. The emulator may run meanwhile."""
    from parley.emulator.state import saved

    saved.export(folder, file, replaces=force)
    click.echo(f"Written to {file}.")


@state.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@_DATA_OPTION
@explained
def import_state(file: Path, folder: Path) -> None:
    """Replace the current state by the one in FILE, which `export` has written, while no emulator runs."""
    from parley.emulator.state import saved

    saved.import_from(folder, file)
    click.echo(f"Imported {file}. {_BEFORE}")


COMMANDS: tuple[click.Command, ...] = (state,)
