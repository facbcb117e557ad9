from fast._fast import run as run
