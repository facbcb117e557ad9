"""What can keep the emulator from starting."""


class StartError(Exception):
    """The emulator cannot start. The text says what happened, where, and the one next step."""
