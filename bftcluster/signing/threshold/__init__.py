"""Unique threshold signatures (BLS): a key that nobody has, and signatures that f+1 holders make.

Signatures lie in G2, keys in G1, of BLS12-381. Modules, lower ones first: ``curve`` and its two
libraries ← ``scalars`` ← ``ciphersuite`` ← ``polynomial`` ← ``group_key`` and ``partials`` ←
``share_key`` ← ``dealings`` ← ``complaints`` ← ``transcript``, which judges from ordered data alone
who holds what.
"""
