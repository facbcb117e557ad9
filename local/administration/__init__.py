"""Users and announcements, from the command line: in the running emulator, or in a deployment."""
