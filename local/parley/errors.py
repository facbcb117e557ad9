"""The error that keeps the emulator, or a command, from starting."""


class StartError(Exception):
    """The emulator cannot start. The text says what happened, where, and the one next step."""
