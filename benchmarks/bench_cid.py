"""CIDs: text to bytes and back, and checking a block, whose limit is SHA-256 alone."""

import hashlib

from benchmarks.result import Result
from benchmarks.timing import calls_per_second
from bftcluster import cid

BLOCK = bytes(range(256)) * 1024
MB_PER_BLOCK = len(BLOCK) / 1e6


def run() -> list[Result]:
    name = cid.of_block(BLOCK)
    text = cid.text(name)
    sha256 = calls_per_second(lambda: hashlib.sha256(BLOCK).digest())
    checked = calls_per_second(lambda: cid.verify_block(name, BLOCK))
    return [
        Result(name="cid_parse", value=calls_per_second(lambda: cid.parse(text)), unit="1/s"),
        Result(name="cid_text", value=calls_per_second(lambda: cid.text(name)), unit="1/s"),
        Result(
            name="block_verify_mb_per_second",
            value=checked * MB_PER_BLOCK,
            unit="MB/s",
            limit=sha256 * MB_PER_BLOCK,
        ),
    ]
