"""What an attack is, and the list of them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import Enum

from tests.hostile.arena import Arena


class Actor(Enum):
    """Who attacks."""

    CLIENT = "client"
    """Reaches an HTTP API, and has no key."""
    STRANGER = "stranger"
    """Has a key of its own that the cluster does not know."""
    UPLOADER = "uploader"
    """Hands in content that was made to harm whoever reads it."""
    MAINTAINER = "maintainer"
    """One of three, where two must agree."""
    MEMBER = "member"
    """One of the four peers: a replica with its key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One thing that somebody does; while ``play`` is entered, it goes on."""

    actor: Actor
    name: str
    play: Callable[[Arena], AbstractContextManager[None]]


ATTACKS: list[Attack] = []


def attack(
    actor: Actor, name: str
) -> Callable[[Callable[[Arena], Iterator[None]]], Callable[[Arena], Iterator[None]]]:
    """Register an attack: a generator that yields once, while what it does is in effect."""

    def register(play: Callable[[Arena], Iterator[None]]) -> Callable[[Arena], Iterator[None]]:
        assert all(name != other.name for other in ATTACKS), f"two attacks are called {name!r}"
        ATTACKS.append(Attack(actor=actor, name=name, play=contextmanager(play)))
        return play

    return register
