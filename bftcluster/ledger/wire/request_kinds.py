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
