"""One upload: local files to a peer, and the CID of them as this machine computed it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from bftcluster.errors import ClusterError, RefusedError
from bftcluster_cli.client import Client, Record
from bftcluster_cli.framework import GlobalOptions
from bftcluster_cli.output import plural
from bftcluster_cli.untrusted_text import label

if TYPE_CHECKING:
    from bftcluster.blocks.formats.layout import Layout
    from bftcluster.ledger.wire.block_tree import PinContents


def upload(
    client: Client,
    settings: GlobalOptions,
    paths: list[Path],
    *,
    layout: "Layout",
    is_wrapped: bool,
    hidden: bool,
) -> "tuple[list[Record], PinContents | None]":
    """Send files to the peer; return what it made of each, the root last, and what that holds.

    Raises:
        RefusedError: The peer made something else of them than this machine does.
        ClusterError: A file cannot be read, or the peer does not take it.
    """
    from bftcluster import cid as cids
    from bftcluster.api.views import ContentKind
    from bftcluster_cli.content.own_dag import OwnDag
    from bftcluster_cli.content.uploads import body_of, entries_of, new_boundary
    from bftcluster_cli.display.progress import bytes_bar

    entries = entries_of(paths, hidden=hidden)
    total = sum(entry.size_bytes for entry in entries)
    files = sum(entry.kind is ContentKind.FILE for entry in entries)
    boundary, own = new_boundary(), OwnDag(layout)
    with (
        bytes_bar(settings, f"adding {plural(files, 'file')}", total) as advance,
        client.stream(
            "POST",
            "/add",
            params=_add_params(layout, is_wrapped=is_wrapped, hidden=hidden),
            headers={"content-type": f"multipart/form-data; boundary={boundary}"},
            content=body_of(entries, boundary, own, advance),
        ) as response,
    ):
        added = _added(response.read())
    made_here = own.root(is_wrapped=is_wrapped)
    root = cids.text(made_here)
    if added[-1]["cid"] != root:
        made = label(str(added[-1]["cid"]), columns=96)
        raise RefusedError(
            f"{client.api} made {made} of content that is {root}",
            hint="this peer lies or is of another version; nothing was signed",
        )
    return added, own.contents(made_here)


def _add_params(layout: "Layout", *, is_wrapped: bool, hidden: bool) -> dict[str, str]:
    return {
        "stream-channels": "false",
        "no-pin": "true",
        "local": "true",
        "cid-version": str(layout.cid_version),
        "raw-leaves": str(layout.raw_leaves).lower(),
        "chunker": f"size-{layout.chunk_size_bytes}",
        "wrap-with-directory": str(is_wrapped).lower(),
        "hidden": str(hidden).lower(),
    }


def _added(text: bytes) -> list[Record]:
    """Return the entries in the answer to an upload; there is at least one."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    is_list = isinstance(value, list) and all(_is_added(each) for each in value)
    added = [each for each in value if each["cid"]] if is_list else []
    if not added:
        raise ClusterError("the peer's answer to the upload makes no sense")
    return added


def _is_added(record: object) -> bool:
    """Return whether it is an ``AddedOutput``; progress has no CID."""
    if not isinstance(record, dict) or not isinstance(record.get("name"), str):
        return False
    return record.setdefault("cid", None) is None or isinstance(record["cid"], str)
