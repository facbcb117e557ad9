"""Imports of moto, by one thread at a time."""

from threading import RLock

IMPORTING_MOTO = RLock()
"""Held while moto is imported. Its modules import each other in circles. Two threads that come into one circle from two
sides each wait for the other's module; Python then gives one of them a module that is only half there."""
