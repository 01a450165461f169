"""A line about a peer: who it is, where it is, and what it asks to be let in with.

``peer init`` writes it, and people pass it on. What it says counts for nothing by itself: it is the
beginning of what maintainers are shown, may change, and sign.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bftcluster.errors import ClusterError, UsageError
from bftcluster_cli.keys.key_files import check_name

if TYPE_CHECKING:
    from bftcluster.ids import PeerId
    from bftcluster.ledger.wire.genesis import GenesisPeer
    from bftcluster.ledger.wire.member_operations import AdmitPeer
    from bftcluster.ledger.wire.peer_terms import PeerTerms

SHAPE: Final = "name=12D3…@/ip4/…/tcp/…;capacity=500GB"
CLASSES: Final = ("own", "partner", "volunteer")

_SIZE_MAX_BYTES: Final = 4096
_FIELDS: Final = ("capacity", "class", "domain", "operator")
_WHAT: Final = {"class": "a class", "domain": "a domain", "operator": "an operator"}
_UNITS: Final = {
    "": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A peer as it, or whoever passes it on, describes it; texts as typed."""

    peer: "PeerId"
    name: str
    addresses: tuple[str, ...]
    capacity: str = ""
    quota_class: str = ""
    domain: str = ""
    operator: str = ""
    is_light: bool = False

    def with_choice(
        self,
        *,
        capacity: str = "",
        quota_class: str = "",
        domain: str = "",
        operator: str = "",
        light: bool = False,
    ) -> "Descriptor":
        """Return this with what a maintainer says instead, where they say anything."""
        return replace(
            self,
            is_light=light or self.is_light,
            capacity=capacity or self.capacity,
            quota_class=quota_class or self.quota_class,
            domain=domain or self.domain,
            operator=operator or self.operator,
        )

    def terms(self, *, usual_class: str = "own") -> "PeerTerms":
        """Return what it is to be let in with.

        Raises:
            UsageError: Nobody says how much may rest on it, or a text makes no sense.
        """
        from bftcluster.ledger.wire.peer_terms import PeerTerms, QuotaClass

        if not self.capacity:
            raise UsageError(
                f"how much may rest on {self.name}? nothing says so",
                hint=f"put it behind the address, as in {SHAPE}, or pass --capacity to admit",
            )
        word = self.quota_class or usual_class
        if word not in CLASSES:
            raise UsageError(f"not a class: {word!r}", hint=f"one of {', '.join(CLASSES)}")
        try:
            return PeerTerms(
                capacity_bytes=parse_size(self.capacity),
                quota_class=QuotaClass[word.upper()],
                domain=self.domain,
                operator=self.operator,
                is_light=self.is_light,
            )
        except ClusterError as exc:
            if isinstance(exc, UsageError):
                raise
            raise UsageError(str(exc), hint="as in --capacity 500GB --domain cellar") from None

    def founder(self) -> "GenesisPeer":
        """Return the peer of a genesis; raises as ``terms``."""
        from bftcluster.ledger.wire.genesis import GenesisPeer

        terms = self.terms()
        return GenesisPeer(peer=self.peer, name=self.name, addresses=self.addresses, terms=terms)

    def admission(self, *, votes: bool) -> "AdmitPeer":
        """Return what lets it in; raises as ``terms``."""
        from bftcluster.ledger.wire.member_operations import AdmitPeer

        return AdmitPeer(
            peer=self.peer,
            name=self.name,
            addresses=self.addresses,
            votes=votes,
            terms=self.terms(usual_class="own" if votes else "volunteer"),
        )


def parse_descriptor(text: str) -> Descriptor:
    """Return what is in a descriptor file, or in such a line itself.

    Raises:
        UsageError: It is neither.
    """
    from bftcluster.signing.keys import parse_peer_id
    from bftcluster_cli.files import read_bounded

    line = text
    if Path(text).is_file():
        data = read_bounded(Path(text), size_max_bytes=_SIZE_MAX_BYTES, what="peer descriptor")
        line = data.decode("utf-8", "replace").strip()
    who, *fields = line.split(";")
    match = re.fullmatch(r"([^=@\n]+)=([^=@\n]+)@([^=@\s]+)", who)
    if match is None:
        raise UsageError(
            f"not a peer: {line[:200]!r}",
            hint=f"pass the peer.txt that `bftcluster peer init` made, or {SHAPE}",
        )
    said = _fields(fields)
    return Descriptor(
        peer=parse_peer_id(match[2]),
        name=check_name(match[1]),
        addresses=tuple(match[3].split(",")),
        capacity=said.get("capacity", ""),
        quota_class=said.get("class", ""),
        domain=said.get("domain", ""),
        operator=said.get("operator", ""),
    )


def descriptor_text(who: str, *, capacity: str, domain: str, operator: str) -> str:
    """Return the line about a peer whose name, id and address are ``who``."""
    said = (("capacity", capacity), ("domain", domain), ("operator", operator))
    return ";".join([who, *(f"{key}={value}" for key, value in said if value)])


def check_place(text: str, what: str) -> str:
    """Return ``text`` if it can stand in a descriptor, as a peer's domain or operator.

    Raises:
        UsageError: It cannot.
    """
    from bftcluster.limits import PEER_PLACE_MAX_CHARS

    fits = len(text) <= PEER_PLACE_MAX_CHARS and text.isprintable() and text == text.strip()
    if not fits or ";" in text:
        raise UsageError(
            f"not {what}: {text[:200]!r}",
            hint=f"at most {PEER_PLACE_MAX_CHARS} printable characters, and no ;",
        )
    return text


def parse_size(text: str) -> int:
    """Return the bytes of ``500GB``, ``1.5 TB`` or ``100MiB``.

    Raises:
        UsageError: Not a size.
    """
    match = re.fullmatch(r"([0-9]{1,15})(?:\.([0-9]{1,3}))?\s*([A-Za-z]{0,3})", text.strip())
    unit = _UNITS.get(match[3].upper()) if match else None
    if match is None or unit is None:
        raise UsageError(f"not a size: {text!r}", hint="a size looks like 500GB, 1.5TB or 100MiB")
    fraction = match[2] or ""
    size: int = int(match[1] + fraction) * unit // 10 ** len(fraction)
    return size


def _fields(fields: list[str]) -> dict[str, str]:
    said: dict[str, str] = {}
    for field in fields:
        key, separator, value = field.partition("=")
        if not separator or key not in _FIELDS or key in said:
            raise UsageError(
                f"not something to say of a peer: {field[:200]!r}",
                hint=f"each once: {', '.join(f'{each}=…' for each in _FIELDS)}",
            )
        said[key] = value if key == "capacity" else check_place(value, _WHAT[key])
    return said
