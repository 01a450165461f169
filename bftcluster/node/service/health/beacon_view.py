"""The beacon as the HTTP API shows it."""

from bftcluster.api.views import BeaconView
from bftcluster.ledger.state.beacon_state import BeaconState, OpenCeremony


def beacon_view(beacon: BeaconState) -> BeaconView:
    """Return the last beacon, and who is to make the next."""
    period, value = beacon.drawn[-1] if beacon.drawn else (None, b"")
    key = beacon.groups[0].key if beacon.groups else None
    return BeaconView(
        period=period,
        value=value,
        holders=0 if key is None else len(key.public_shares),
        threshold=0 if key is None else key.threshold,
        ceremony="" if beacon.open is None else _under_way(beacon.open),
    )


def _under_way(opened: OpenCeremony) -> str:
    transcript = opened.transcript
    what = "the key is passed on" if opened.source else "a new key is dealt"
    count = len(transcript.dealings)
    window = "complaints" if opened.is_dealt else "dealings"
    return f"{what}: {count} dealings, open for {window}"
