"""Guess constructor arguments that nobody gave, from annotations, names, and what the constructor says of a try.

A guess is a set of slots, one a required argument or a key that is read from a configuration, each with an ordered
list of candidates. The constructor is called with the first of each; its error says which slot goes on to its next.
"""

from __future__ import annotations

from lightning_conformance.subjects.guessing.guess import Guess, NotGuessed
from lightning_conformance.subjects.guessing.settling import settled

__all__ = ["Guess", "NotGuessed", "settled"]
