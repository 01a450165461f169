"""Ed25519 as the project uses it: the limit of whatever checks signatures on one core."""

from functools import cache

from benchmarks.result import Result
from benchmarks.timing import calls_per_second
from bftcluster.signing.keys import Ed25519Verifier, SigningKey

MESSAGE = bytes(300)
KEY = SigningKey(bytes(32))


@cache
def verifications_per_second() -> float:
    """Return how many signatures one core verifies; measured once in a run."""
    verifier, signature = Ed25519Verifier(), KEY.sign(MESSAGE)
    assert verifier.verify(KEY.public_key, MESSAGE, signature)
    return calls_per_second(lambda: verifier.verify(KEY.public_key, MESSAGE, signature))


def run() -> list[Result]:
    return [
        Result(name="ed25519_verify", value=verifications_per_second(), unit="1/s"),
        Result(name="ed25519_sign", value=calls_per_second(lambda: KEY.sign(MESSAGE)), unit="1/s"),
    ]
