"""Draws who is to hold a pin: straw2 over a tree of failure domains, operators and peers.

`Roster` is what the ledger uses: it is told each peer's weight and place, and picks. It knows no
pin, and no state: a seed is an argument.
"""
