"""Ed25519 as the project uses it: the limit of whatever checks signatures on one core."""

from functools import cache
from itertools import cycle

from benchmarks.result import Result
from benchmarks.timing import calls_per_second
from bftcluster.signing.keys import Ed25519Verifier, SigningKey

MESSAGE = bytes(300)
MESSAGES = tuple(number.to_bytes(300, "big") for number in range(1000))
"""No two alike: a processor learns one signature's steps by heart, and checks it 5 % faster."""
KEY = SigningKey(bytes(32))


@cache
def verifications_per_second() -> float:
    """Return how many signatures one core verifies; measured once in a run."""
    verifier = Ed25519Verifier()
    signed = [(message, KEY.sign(message)) for message in MESSAGES]
    assert all(verifier.verify(KEY.public_key, *each) for each in signed)
    next_signed = cycle(signed).__next__
    return calls_per_second(lambda: verifier.verify(KEY.public_key, *next_signed()))


def run() -> list[Result]:
    return [
        Result(name="ed25519_verify", value=verifications_per_second(), unit="1/s"),
        Result(name="ed25519_sign", value=calls_per_second(lambda: KEY.sign(MESSAGE)), unit="1/s"),
    ]
