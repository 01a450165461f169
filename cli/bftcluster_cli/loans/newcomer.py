"""From an invitation to a peer that is let in: each step can be done again, and goes on from there.

The genesis is written last: a directory that has one belongs to a peer that was let in.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bftcluster.errors import (
    ClusterError,
    ConfigError,
    NotReachedError,
    RefusedError,
    TransportError,
)
from bftcluster.limits import LIGHT_MEMORY_SIZE_MAX_BYTES
from bftcluster_cli.output import size_text
from bftcluster_cli.pin_options import duration_text
from bftcluster_cli.untrusted_text import label, message

if TYPE_CHECKING:
    from bftcluster.ledger.wire.genesis import Genesis
    from bftcluster.ledger.wire.invitation_text import Invitation
    from bftcluster.node.ingress.door_messages import DoorAnswer, DoorQuestion
    from bftcluster.signing.keys import SigningKey

CONFIG_FILE: Final = "config.toml"
IDENTITY_FILE: Final = "identity.key"
GENESIS_FILE: Final = "genesis.cbor"
QUOTA_MIN_BYTES: Final = 1_000_000_000
_RESERVE_MIN_BYTES: Final = 512_000_000
_RESERVE_PART: Final = 20
"""Of the quota a twentieth is for ledger, log and votes, if that is more."""
_LIGHT_RESERVE_BYTES: Final = 2 * LIGHT_MEMORY_SIZE_MAX_BYTES + 2_000_000
"""The file of what was proven, twice while it is written, and some small ones."""
_CLOCK_OFF_MAX_MS: Final = 5 * 60_000
_PAUSE_S: Final = 1.0
"""A door lets one address ask so often, after its first questions: `DOOR_PER_ADDRESS_PER_S`."""

Tell = Callable[[str, str], None]
"""Takes the word for a step, and what is to be said of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What somebody lends, and where."""

    directory: Path
    quota_bytes: int
    """Of the whole directory."""
    name: str
    listen: str
    api: str
    addresses: tuple[str, ...] = ()
    """Where others reach it, if they do."""
    is_light: bool = False
    """Whether it keeps no ledger, as the invitation says."""
    domain: str = ""
    operator: str = ""

    @property
    def blocks_bytes(self) -> int:
        """What of it is for blocks."""
        return blocks_bytes_of(self.quota_bytes, is_light=self.is_light)


def blocks_bytes_of(quota_bytes: int, *, is_light: bool) -> int:
    """Return what of a quota is for blocks: the rest is for ledger, log and votes.

    A light peer has none of these; what it keeps beside blocks is the proof of its duties.
    """
    reserve_min_bytes = _LIGHT_RESERVE_BYTES if is_light else _RESERVE_MIN_BYTES
    part = 0 if is_light else quota_bytes // _RESERVE_PART
    return quota_bytes - max(reserve_min_bytes, part)


def come_in(invitation: "Invitation", offer: Offer, tell: Tell, *, timeout_s: float) -> None:
    """Have the peer in the offer's directory let in, or see that it was.

    Raises:
        ClusterError: It is not; the message says why, the hint what to do next.
    """
    check_disk(offer)
    seed = _make_directory(invitation, offer, tell)
    genesis, relay = _fetch_genesis(invitation, seed.seed, tell)
    _redeem(invitation, offer, seed, genesis, timeout_s=timeout_s)
    from bftcluster_cli.files import write_new

    write_new(offer.directory / GENESIS_FILE, genesis.to_bytes())
    tell("admitted", f"let in by {label(genesis.name)}, asked at {relay}")


def check_disk(offer: Offer) -> None:
    """Return if the disk has room for all that is lent and not taken yet.

    Raises:
        ConfigError: It has not, or the quota is too small.
    """
    if offer.quota_bytes < QUOTA_MIN_BYTES:
        raise ConfigError(
            f"{size_text(offer.quota_bytes)} are too little to be of use",
            hint=f"lend {size_text(QUOTA_MIN_BYTES)} or more",
        )
    place = offer.directory
    while not place.exists():
        place = place.parent
    taken = sum(path.lstat().st_size for path in offer.directory.rglob("*"))
    free = shutil.disk_usage(place).free + taken
    if free < offer.quota_bytes:
        raise ConfigError(
            f"{size_text(offer.quota_bytes)} cannot be lent: "
            f"the disk of {offer.directory} has {size_text(free)} left",
            hint="lend less with --quota, or name a directory on another disk with --dir",
        )


def _make_directory(invitation: "Invitation", offer: Offer, tell: Tell) -> "SigningKey":
    """Make what is missing of the peer's directory; return its key."""
    from bftcluster.node.process.identity import create_identity, load_identity
    from bftcluster.node.process.loan_file import LOAN_FILE, LoanChoice
    from bftcluster_cli.files import make_private_directory, replace_file

    make_private_directory(offer.directory)
    identity = offer.directory / IDENTITY_FILE
    if not identity.exists():
        create_identity(identity)
        tell("identity", f"made an identity in {offer.directory}")
    config = offer.directory / CONFIG_FILE
    # Without a genesis nobody was let in yet: what an earlier try said does not count any more.
    replace_file(config, _config_text(invitation, offer).encode())
    choice = LoanChoice(quota_bytes=offer.quota_bytes, is_light=offer.is_light)
    replace_file(offer.directory / LOAN_FILE, choice.to_bytes())
    return load_identity(identity)


def _config_text(invitation: "Invitation", offer: Offer) -> str:
    from bftcluster.node.process.config_text import default_text
    from bftcluster.signing.keys import peer_id_text

    relays = {peer_id_text(peer): list(addresses) for peer, addresses in invitation.relays}
    reserve = offer.quota_bytes - offer.blocks_bytes
    return default_text(
        peer={"name": offer.name},
        network={"listen": [offer.listen], "addresses": relays},
        api={"listen": [offer.api]},
        storage={
            "quota": f"{offer.blocks_bytes}B",
            "keep_log": "2",
            "log_budget": f"{reserve // 2}B",
        },
    )


def _fetch_genesis(invitation: "Invitation", seed: bytes, tell: Tell) -> tuple["Genesis", str]:
    """Return the genesis, which is the invitation's, and where it came from."""
    from bftcluster.ids import InviteKey
    from bftcluster.ledger.wire.genesis import Genesis
    from bftcluster.ledger.wire.invitation_operations import invite_name
    from bftcluster.node.ingress.door_messages import DoorQuestion, DoorTopic

    key = _invite_key(invitation).public_key
    question = DoorQuestion(topic=DoorTopic.GENESIS, body=key)
    answer, relay = _ask(invitation, seed, question)
    _check_clock(answer.wall_ms)
    if answer.wall_ms >= invitation.expires_ms:
        raise RefusedError(
            "this invitation has expired", hint="ask whoever sent the invitation for a new one"
        )
    if answer.code != "genesis":
        raise RefusedError(
            f"the cluster does not know this invitation: {message(answer.detail)}",
            hint=f"was {invite_name(InviteKey(key))} approved already? whoever sent it can look "
            "with `bftcluster invite ls`",
        )
    wrong = RefusedError(
        f"the peer at {relay} is of another cluster than this invitation",
        hint="do not go on with it; ask whoever sent the invitation for a new one",
    )
    try:
        genesis = Genesis.from_bytes(answer.genesis)
    except ClusterError:
        raise wrong from None
    if genesis.cluster_id != invitation.cluster_id:
        raise wrong
    tell("genesis", f"this is {label(genesis.name)}, as the invitation says")
    return genesis, relay


def _redeem(
    invitation: "Invitation",
    offer: Offer,
    key: "SigningKey",
    genesis: "Genesis",
    *,
    timeout_s: float,
) -> None:
    """Ask until the cluster has decided."""
    from bftcluster.ledger.wire.loan_requests import redeem
    from bftcluster.ledger.wire.peer_terms import PeerTerms
    from bftcluster.node.ingress.door_messages import DoorQuestion, DoorTopic

    request = redeem(
        key,
        _invite_key(invitation),
        cluster_id=genesis.cluster_id,
        name=offer.name,
        addresses=offer.addresses,
        asked=PeerTerms(
            capacity_bytes=offer.blocks_bytes, domain=offer.domain, operator=offer.operator
        ),
    )
    question = DoorQuestion(topic=DoorTopic.REDEMPTION, body=request.to_bytes())
    end_s = time.monotonic() + timeout_s
    while True:
        try:
            answer, _ = _ask(invitation, key.seed, question)
        except NotReachedError as exc:
            late = exc  # who was too slow to answer may know us by now
        else:
            if answer.code in {"committed", "already"}:
                return
            if answer.code != "timeout":
                raise RefusedError(
                    f"the cluster does not let this peer in: {message(answer.detail)}",
                    hint=message(answer.hint),
                )
            late = NotReachedError(
                "the cluster did not decide in time", hint="run the same command again"
            )
        if time.monotonic() > end_s:
            raise late
        time.sleep(_PAUSE_S)  # a person's command: the door tells nobody when it has decided


def _ask(
    invitation: "Invitation", seed: bytes, question: "DoorQuestion"
) -> tuple["DoorAnswer", str]:
    """Return the first answer that one of the invitation's relays gives, and its address."""
    import trio

    from bftcluster.net.door import ask_at_door
    from bftcluster.node.ingress.door_messages import answer_from_bytes

    failures: list[str] = []
    for peer, addresses in invitation.relays:
        for address in addresses:
            ask = partial(
                ask_at_door, seed=seed, peer=peer, address=address, question=question.to_bytes()
            )
            try:
                return answer_from_bytes(trio.run(ask)), address
            except (TransportError, ConfigError) as exc:
                failures.append(message(str(exc)))
    raise NotReachedError(
        f"no peer of the invitation answers: {'; '.join(failures)}",
        hint="is this machine connected to the network? if it is, try again later, or ask whoever "
        "sent the invitation whether these peers run",
    )


def _check_clock(wall_ms: int) -> None:
    ahead_ms = time.time_ns() // 1_000_000 - wall_ms
    if abs(ahead_ms) > _CLOCK_OFF_MAX_MS:
        which = "ahead of" if ahead_ms > 0 else "behind"
        off = duration_text(abs(ahead_ms) // 1000 * 1000)
        raise ConfigError(
            f"this machine's clock is {off} {which} the cluster's",
            hint="set it by the network, as with `timedatectl set-ntp true`, and try again",
        )


def _invite_key(invitation: "Invitation") -> "SigningKey":
    from bftcluster.signing.keys import SigningKey

    return SigningKey(invitation.seed)
