"""Keeps proof of misbehaviour in files that an operator finds."""

import hashlib
import os
from pathlib import Path
from typing import Final

from bftcluster import codec
from bftcluster.pbft.steps import Halt

_DIRECTORY: Final = "evidence"
_EQUIVOCATION: Final = "equivocation"


class EvidenceFiles:
    """One file per piece, named by its hash: writing one twice changes nothing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / _DIRECTORY

    def keep(self, piece: bytes) -> Path:
        """Write a self-contained proof that a replica contradicted itself; return the file."""
        return self._write(_EQUIVOCATION, piece)

    def kept(self) -> list[bytes]:
        """Return the proofs of contradiction that were kept."""
        return [
            path.read_bytes() for path in sorted(self._directory.glob(f"{_EQUIVOCATION}-*.cbor"))
        ]

    def keep_halt(self, halt: Halt) -> Path:
        """Write what made this replica stop: more than f replicas are faulty; return the file."""
        return self._write("halt", codec.encode([halt.reason.value, list(halt.exhibits)]))

    def _write(self, kind: str, data: bytes) -> Path:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._directory / f"{kind}-{hashlib.sha256(data).hexdigest()[:16]}.cbor"
        if not path.exists():
            temporary = path.with_suffix(".new")
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        return path
