"""Names in directories and targets of symbolic links: the one check that all of them pass.

What we add, list, look up, put into a tar or write to a disk holds only names that pass here.
"""

import itertools
from collections.abc import Iterable
from typing import Final

from bftcluster.cid import Cid, text
from bftcluster.errors import MalformedContentError, UsageError
from bftcluster.shell_limits import ENTRY_NAME_SIZE_MAX_BYTES, SYMLINK_TARGET_SIZE_MAX_BYTES

_SHOWN_MAX_CHARS: Final = 64


def check_name(name: str) -> None:
    """Return if ``name`` may stand in a directory of ours.

    Raises:
        UsageError: It may not.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise UsageError(
            f"the name {name.encode(errors='surrogateescape')!r} is not UTF-8",
            hint="rename the file: IPFS names are UTF-8",
        ) from None
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise UsageError(f"{name[:_SHOWN_MAX_CHARS]!a} cannot be a name in a directory")
    if size > ENTRY_NAME_SIZE_MAX_BYTES:
        raise UsageError(f"a name of {size} bytes, at most {ENTRY_NAME_SIZE_MAX_BYTES}")


def check_entries(directory: Cid, names: Iterable[str]) -> None:
    """Return if the names in somebody else's directory may stand there, and each comes once.

    Raises:
        MalformedContentError: Naming the first that may not.
    """
    seen = set()
    for name in names:
        try:
            check_name(name)
        except UsageError as exc:
            raise MalformedContentError(f"the directory {text(directory)}: {exc}") from None
        if name in seen:
            raise MalformedContentError(
                f"in the directory {text(directory)} a name comes twice:"
                f" {name[:_SHOWN_MAX_CHARS]!a}"
            )
        seen.add(name)


def climbs_of(link: Cid, target: bytes) -> int:
    """Return how many directories a symbolic link leads up, before it leads down.

    Dots may only lead: after a name that is a link itself they would mean another directory.

    Raises:
        MalformedContentError: It leads to the root of a file system, or nowhere.
    """
    steps = target.split(b"/")
    climbs = len(list(itertools.takewhile(lambda step: step == b"..", steps)))
    if not target or len(target) > SYMLINK_TARGET_SIZE_MAX_BYTES or b"\0" in target:
        raise MalformedContentError(f"{text(link)} is a symbolic link to nothing possible")
    if target.startswith(b"/") or b".." in steps[climbs:]:
        shown = target[:_SHOWN_MAX_CHARS]
        raise MalformedContentError(f"{text(link)} is a symbolic link to the outside: {shown!r}")
    return climbs
