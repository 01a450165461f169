"""Content from a peer to local files: verified here, and all of it or nothing is left behind."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bftcluster.errors import UsageError
from bftcluster.shell_limits import PRINTED_BASE_BYTES, PRINTED_REPEATS_MAX
from bftcluster_cli.client import Client
from bftcluster_cli.content.car_files import CarFile
from bftcluster_cli.display.progress import bytes_bar
from bftcluster_cli.framework import GlobalOptions

if TYPE_CHECKING:
    from bftcluster.cid import Cid

_PIECE_SIZE_BYTES: Final = 1 << 20
_DISK_RESERVE_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What was written."""

    path: Path
    files: int
    size_bytes: int


def fetch(client: Client, settings: GlobalOptions, cid: "Cid", output: Path) -> Fetched:
    """Fetch a file, directory or symlink to ``output``.

    Raises:
        UsageError: ``output`` exists, or cannot be written.
        ClusterError: The content cannot be had, or is not what it should be.
    """
    from bftcluster.blocks.dag.extract import extract

    _check_free(output)
    with _received(client, settings, cid, output.absolute().parent) as car:
        room = max(shutil.disk_usage(output.absolute().parent).free - _DISK_RESERVE_BYTES, 0)
        extract(car, cid, output, size_max_bytes=room)
    files, size_bytes = _measure(output)
    return Fetched(path=output, files=files, size_bytes=size_bytes)


def fetch_car(client: Client, settings: GlobalOptions, cid: "Cid", output: Path) -> Fetched:
    """Fetch the blocks of any content to a CAR file.

    Raises:
        ClusterError: As ``fetch``.
    """
    _check_free(output)
    with _received(client, settings, cid, output.absolute().parent) as car:
        part = output.with_name(f".{output.name}.{os.getpid()}.part")
        try:
            with part.open("xb") as file:
                car.copy_to(file)
            part.rename(output)
        finally:
            part.unlink(missing_ok=True)
        return Fetched(path=output, files=1, size_bytes=car.size_bytes)


def fetch_to_stdout(client: Client, settings: GlobalOptions, cid: "Cid", *, is_car: bool) -> None:
    """Write a file's bytes, or a CAR, to stdout, once all of it is verified.

    Raises:
        UsageError: It is a directory, and no CAR was asked for; or it repeats the same blocks so
            often that it was made to print without end.
        ClusterError: As ``fetch``.
    """
    from bftcluster.blocks.dag.file_reader import file_size, read_file

    with _received(client, settings, cid, Path(tempfile.gettempdir())) as car:
        if is_car:
            car.copy_to(sys.stdout.buffer)
        else:
            size_bytes = file_size(car, cid)
            if size_bytes > PRINTED_BASE_BYTES + PRINTED_REPEATS_MAX * car.size_bytes:
                raise UsageError(
                    f"{size_bytes:,} bytes are described by {car.size_bytes:,}",
                    hint="write them to a file with --output: there they have to fit on the disk",
                )
            for piece in read_file(car, cid):
                sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


@contextmanager
def _received(
    client: Client, settings: GlobalOptions, cid: "Cid", directory: Path
) -> Iterator[CarFile]:
    """Fetch to a nameless file in ``directory``."""
    from bftcluster.cid import text

    with tempfile.TemporaryFile(dir=directory) as file:
        car = CarFile(file)
        with (
            bytes_bar(settings, "fetching", None) as advance,
            client.stream("GET", f"/content/{text(cid)}", params={"format": "car"}) as response,
        ):
            car.receive(cid, response.iter_raw(_PIECE_SIZE_BYTES), advance)
        yield car


def _check_free(output: Path) -> None:
    if output.exists() or output.is_symlink():
        raise UsageError(f"{output} exists already", hint="name another place with --output")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"there is no directory {output.parent}", hint=f"mkdir -p {output.parent}")


def _measure(path: Path) -> tuple[int, int]:
    """Return how many files there are at and below ``path``, and their bytes."""
    if not path.is_dir() or path.is_symlink():
        return 1, path.lstat().st_size
    sizes = [Path(root, name).lstat().st_size for root, _, names in os.walk(path) for name in names]
    return len(sizes), sum(sizes)
