"""What a peer owes the beacon now: a dealing, complaints, its part of a period's; or nothing.

It follows from the state and the seed of the peer's identity, so that nothing is remembered and a
restart contradicts nothing.
"""

from collections.abc import Iterator
from typing import Final

from bftcluster.ids import ClusterId, Digest, PeerId
from bftcluster.ledger.state.beacon_state import (
    BeaconState,
    HolderGroup,
    OpenCeremony,
    place_of,
)
from bftcluster.ledger.wire.beacon_requests import (
    BeaconRequest,
    beacon_message,
    make_complain,
    make_contribute,
    make_deal,
)
from bftcluster.signing.envelope import Signer
from bftcluster.signing.threshold.ciphersuite import public_key
from bftcluster.signing.threshold.complaints import Complaint, open_share
from bftcluster.signing.threshold.curve import Curve
from bftcluster.signing.threshold.dealings import deal
from bftcluster.signing.threshold.partials import make_partial
from bftcluster.signing.threshold.share_key import ShareKey
from bftcluster.signing.threshold.transcript import held_share

_SHARES_MAX: Final = 2
"""Of as many groups as there are at once."""


class BeaconDuties:
    """One peer's part in ceremonies and beacons. May be asked in any thread, one at a time."""

    def __init__(self, *, signer: Signer, seed: bytes, cluster_id: ClusterId, curve: Curve) -> None:
        """Prepare.

        Args:
            signer: The peer's own key.
            seed: Of that key, or as secret: all that the peer has to keep.
            cluster_id: Bound into every signature.
            curve: Whose multiplication hides what it multiplies by.
        """
        self._signer = signer
        self._me = PeerId(signer.public_key)
        self._seed = seed
        self._key = ShareKey(seed)
        self._cluster_id = cluster_id
        self._curve = curve
        self._shares: dict[Digest, int | None] = {}
        self._opened: tuple[Digest, dict[int, Complaint | None]] | None = None
        """What was found in the dealings of the open ceremony, by dealer."""

    def registration(self) -> bytes:
        """Return the key that shares for this peer are sealed for, with its proof, encoded."""
        return self._key.registration(self._curve, self._me).to_bytes()

    def owed(self, beacon: BeaconState, period: int) -> list[bytes]:
        """Return the requests that this peer owes, encoded; none if it owes nothing.

        Args:
            beacon: As of the last batch that was executed.
            period: That batch's.
        """
        requests: list[BeaconRequest] = []
        for group in reversed(beacon.groups):
            requests.extend(self._partials(beacon, group, period))
        if beacon.open is not None:
            requests.extend(self._dealings(beacon, beacon.open))
            requests.extend(self._complaints(beacon.open))
        return [request.to_bytes() for request in requests]

    def _partials(
        self, beacon: BeaconState, group: HolderGroup, period: int
    ) -> Iterator[BeaconRequest]:
        """Yield our part of the period's beacon, if we hold a share and nobody has it yet."""
        place = place_of(self._me, group.ceremony)
        is_made = beacon.has(period) and group is beacon.groups[0]
        if place is None or is_made or period < group.since_period:
            return
        if beacon.has_heard(group, place):
            return
        share = self._share(group)
        if share is not None:
            message = beacon_message(self._cluster_id, period)
            partial = make_partial(self._curve, share, place, message)
            yield make_contribute(self._signer, self._cluster_id, group.digest, period, partial)

    def _dealings(self, beacon: BeaconState, opened: OpenCeremony) -> Iterator[BeaconRequest]:
        """Yield our dealing, if it is time for it, we may deal and have not."""
        dealers = beacon.dealers(opened)
        if opened.is_dealt or self._me not in dealers:
            return
        dealer = dealers.index(self._me) + 1
        if opened.transcript.dealing_of(dealer) is not None:
            return
        ceremony, old_share = opened.transcript.ceremony, None
        source = beacon.group(opened.source)
        if source is not None:
            old_share = self._share(source)
            if old_share is None:
                return
        dealing = deal(self._curve, ceremony, dealer, self._seed, old_share)
        yield make_deal(self._signer, self._cluster_id, dealing)

    def _complaints(self, opened: OpenCeremony) -> Iterator[BeaconRequest]:
        """Yield our complaints about dealings that hold a wrong share for us."""
        transcript = opened.transcript
        place = place_of(self._me, transcript.ceremony)
        if not opened.is_dealt or place is None:
            return
        if self._opened is None or self._opened[0] != transcript.ceremony.digest:
            self._opened = transcript.ceremony.digest, {}
        found = self._opened[1]
        for dealing in transcript.dealings:
            dealer = dealing.dealer
            if dealer not in found:
                share = open_share(self._curve, dealing, place, self._key)
                found[dealer] = share if isinstance(share, Complaint) else None
            complaint = found[dealer]
            is_heard = dealer in transcript.left_out or (dealer, place) in transcript.complained
            if complaint is not None and not is_heard:
                yield make_complain(self._signer, self._cluster_id, dealing, complaint)

    def _share(self, group: HolderGroup) -> int | None:
        """Return what we hold of a group's key, if it is what everybody can see that we hold."""
        digest, place = group.digest, place_of(self._me, group.ceremony)
        if digest not in self._shares:
            share = None
            if place is not None:
                share = held_share(self._curve, group.transcript, place, self._key)
            if share is not None and place is not None:
                public = public_key(self._curve, share)
                share = share if public == group.key.public_shares[place - 1] else None
            while len(self._shares) >= _SHARES_MAX:
                del self._shares[next(iter(self._shares))]
            self._shares[digest] = share
        return self._shares[digest]
