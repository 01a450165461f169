"""The numbers of requests, which every kind of request begins with."""

from enum import IntEnum


class RequestKind(IntEnum):
    """The first item of a request. The numbers are part of the wire format."""

    SUBMIT = 1
    PROPOSE = 2
    APPROVE = 3
    REJECT = 4
    REPORT = 5
    JOIN = 6
    EVIDENCE = 7
    DEAL = 8
    COMPLAIN = 9
    CONTRIBUTE = 10
    PLEDGE = 11
    ANSWER = 12
    ATTEST = 13
    REDEEM = 15
    LEAVE = 18


def kind_of(request: bytes) -> RequestKind | None:
    """Return what a request says it is, by its second byte alone; None: no kind that there is."""
    number = request[1] if len(request) > 1 else 0
    return RequestKind(number) if number in RequestKind._value2member_map_ else None
