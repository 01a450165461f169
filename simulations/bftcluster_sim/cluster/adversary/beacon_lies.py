"""Members that have a key dealt, or a beacon made, in bad faith: what they say instead."""

from collections.abc import Callable
from dataclasses import replace

from bftcluster.ids import PeerId
from bftcluster.ledger.state.beacon_state import BeaconState, place_of
from bftcluster.ledger.wire.beacon_requests import (
    BeaconRequest,
    Contribute,
    Deal,
    make_complain,
    make_contribute,
    make_deal,
)
from bftcluster.ledger.wire.requests import parse_request
from bftcluster.signing.threshold.complaints import Complaint
from bftcluster.signing.threshold.curve import ORDER
from bftcluster.signing.threshold.partials import make_partial
from bftcluster.signing.threshold.scalars import decode_scalar, encode_scalar
from bftcluster.signing.threshold.share_key import ShareKey
from bftcluster_sim.cluster.peers.beacon_speech import BeaconLiar, BeaconLie


def is_silent(_liar: BeaconLiar, _beacon: BeaconState, _owed: list[bytes]) -> list[bytes]:
    """Say nothing."""
    return []


def withholds_partials(_liar: BeaconLiar, _beacon: BeaconState, owed: list[bytes]) -> list[bytes]:
    """Deal a key, and make no beacon with it."""
    return [each for each in owed if not isinstance(parse_request(each), Contribute)]


def sends_wrong_partials(liar: BeaconLiar, _beacon: BeaconState, owed: list[bytes]) -> list[bytes]:
    """Contribute points that are nobody's part of anything."""

    def lie(request: Contribute) -> BeaconRequest:
        partial = make_partial(liar.curve, 7, request.partial.holder, b"another message")
        group, period = request.group_digest, request.period
        return make_contribute(liar.signer, liar.cluster_id, group, period, partial)

    return _replaced(owed, Contribute, lie)


def deals_wrong_shares(liar: BeaconLiar, _beacon: BeaconState, owed: list[bytes]) -> list[bytes]:
    """Seal for everybody else what was not committed to."""

    def lie(request: Deal) -> BeaconRequest:
        dealing = request.dealing
        sealed = tuple(
            each if place == dealing.dealer else encode_scalar((decode_scalar(each) + 1) % ORDER)
            for place, each in enumerate(dealing.sealed, start=1)
        )
        return make_deal(liar.signer, liar.cluster_id, replace(dealing, sealed=sealed))

    return _replaced(owed, Deal, lie)


def complains_falsely(liar: BeaconLiar, beacon: BeaconState, owed: list[bytes]) -> list[bytes]:
    """Complain about every dealing, with the true point, that it held a wrong share."""
    opened = beacon.open
    if opened is None or not opened.is_dealt:
        return owed
    transcript, key = opened.transcript, ShareKey(liar.seed)
    place = place_of(PeerId(liar.signer.public_key), transcript.ceremony)
    if place is None:
        return owed
    said = list(owed)
    for dealing in transcript.dealings:
        if (
            dealing.dealer in transcript.left_out
            or (dealing.dealer, place) in transcript.complained
        ):
            continue
        complaint = Complaint(
            ceremony=dealing.ceremony,
            dealer=dealing.dealer,
            holder=place,
            point=key.shared_point(liar.curve, dealing.ephemeral),
        )
        said.append(make_complain(liar.signer, liar.cluster_id, dealing, complaint).to_bytes())
    return said


def _replaced(
    owed: list[bytes], kind: type[Deal] | type[Contribute], lie: Callable[..., BeaconRequest]
) -> list[bytes]:
    requests = [(each, parse_request(each)) for each in owed]
    return [
        lie(request).to_bytes() if isinstance(request, kind) else each for each, request in requests
    ]


def is_honest(_liar: BeaconLiar, _beacon: BeaconState, owed: list[bytes]) -> list[bytes]:
    """Do what is owed."""
    return owed


BEACON_LIES: tuple[BeaconLie, ...] = (
    is_honest,
    is_silent,
    withholds_partials,
    sends_wrong_partials,
)
"""What members may do that hold a key; to deal one wrongly there is no time in a short run."""
