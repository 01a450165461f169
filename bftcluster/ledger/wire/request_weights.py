"""What remembering a parsed request takes of the memory that there is for it."""

from typing import Final, assert_never

from bftcluster.ledger.wire import requests
from bftcluster.ledger.wire.audit_requests import Answer, Attest, Pledge
from bftcluster.ledger.wire.beacon_requests import Complain, Contribute, Deal
from bftcluster.ledger.wire.loan_requests import Leave, Redeem
from bftcluster.ledger.wire.operations import Operation, items_of
from bftcluster.ledger.wire.requests import Request

_ENTRY_OVERHEAD_BYTES: Final = 2500
"""What any parsed request takes beside its bytes, at most."""
_REFUSED_OVERHEAD_BYTES: Final = 600
"""What remembering takes, beside its bytes, that something is no request."""
_ITEM_OVERHEAD_BYTES: Final = 220
"""What an entry, a pair or a key in it takes beside its bytes, at most."""
_COPIES: Final = 5
"""How often its bytes are in memory: as they came, signed, decoded; texts may need four a char."""


def weight_bytes(data: bytes, request: Request | None, operation: Operation | None) -> int:
    """Return what remembering ``data`` takes, parsed: a small report has a thousand entries.

    Args:
        data: As it came.
        request: What it is; ``None``: none.
        operation: Of the request's intent, if it has one.
    """
    if request is None:
        return _REFUSED_OVERHEAD_BYTES + len(data)
    items = _items_of_request(request) + (0 if operation is None else items_of(operation))
    return _ENTRY_OVERHEAD_BYTES + _COPIES * len(data) + _ITEM_OVERHEAD_BYTES * items


def _items_of_request(request: Request) -> int:
    match request:
        case requests.ReportPinned(entries=entries):
            return len(entries)
        case requests.Join(tags=tags, addresses=addresses):
            return len(tags) + len(addresses)
        case Deal(dealing=dealing):
            return len(dealing.commitments) + len(dealing.sealed)
        case Pledge() | Answer() | Attest():
            return len(request.lines)
        case (
            requests.Submit()
            | requests.Propose()
            | requests.Approve()
            | requests.Reject()
            | requests.ReportEvidence()
        ):
            return 0
        case Complain() | Contribute() | Leave():
            return 0
        case Redeem(addresses=addresses):
            return len(addresses)
        case _ as unreachable:
            assert_never(unreachable)
