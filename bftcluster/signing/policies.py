"""Who may approve, and how many of them it takes."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest, MaintainerId
from bftcluster.limits import (
    CBOR_SIZE_MAX_BYTES,
    MAINTAINER_NAME_MAX_CHARS,
    MAINTAINERS_MAX,
    PUBLIC_KEY_SIZE_BYTES,
)
from bftcluster.signing.wire import check_array, check_size, read_array

ED25519_MULTISIG: Final = "ed25519-multisig"
_SHAPE: Final[list[type]] = [int, int, str, list]
_HASH_TAG: Final = b"bftcluster/policy/v1\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer:
    """A person, or one signing device of a person, who approves operations."""

    name: str
    """For people to read; not unique, not trusted."""
    key: MaintainerId

    def __post_init__(self) -> None:
        check_size(self.key, PUBLIC_KEY_SIZE_BYTES, "a maintainer's key")
        if not 1 <= len(self.name) <= MAINTAINER_NAME_MAX_CHARS:
            raise MalformedMessageError(
                f"a maintainer's name has 1 to {MAINTAINER_NAME_MAX_CHARS} characters"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """``threshold`` of these maintainers together may do anything, fewer nothing.

    Maintainers are sorted by key, so that one bitmap means the same to everybody.
    """

    version: int
    """From 1; each change of policy adds one."""
    maintainers: tuple[Maintainer, ...]
    threshold: int
    scheme: str = ED25519_MULTISIG
    """Which ``signing.schemes`` its certificates use."""
    hash: Digest = field(init=False)
    """What intents name, so that an approval counts under this policy only."""
    positions: dict[MaintainerId, int] = field(init=False, repr=False, compare=False)
    """Where each maintainer's bit is."""

    def __post_init__(self) -> None:
        keys = [maintainer.key for maintainer in self.maintainers]
        if not 1 <= len(keys) <= MAINTAINERS_MAX:
            raise MalformedMessageError(f"a policy has 1 to {MAINTAINERS_MAX} maintainers")
        if sorted(set(keys)) != keys:
            raise MalformedMessageError("maintainers must be distinct and sorted by key")
        if not 1 <= self.threshold <= len(keys):
            raise MalformedMessageError(f"threshold {self.threshold} of {len(keys)} maintainers")
        if self.version < 1:
            raise MalformedMessageError("policy versions start at 1")
        digest = hashlib.sha256(_HASH_TAG + self.to_bytes()).digest()
        object.__setattr__(self, "hash", Digest(digest))
        object.__setattr__(self, "positions", {key: i for i, key in enumerate(keys)})

    @classmethod
    def of(
        cls,
        *maintainers: Maintainer,
        threshold: int,
        version: int = 1,
        scheme: str = ED25519_MULTISIG,
    ) -> "Policy":
        """Return the policy of ``maintainers``, in any order."""
        ordered = tuple(sorted(maintainers, key=lambda maintainer: maintainer.key))
        return cls(version=version, maintainers=ordered, threshold=threshold, scheme=scheme)

    @property
    def rejections_max(self) -> int:
        """With more rejections than this, ``threshold`` approvals cannot be reached."""
        return len(self.maintainers) - self.threshold

    def name_of(self, maintainer: MaintainerId) -> str:
        """Return the name of a maintainer of this policy.

        Raises:
            KeyError: Not one of them.
        """
        return self.maintainers[self.positions[maintainer]].name

    def to_wire(self) -> list[Any]:
        """Return the array ``[version, threshold, scheme, [[name, key]...]]``."""
        maintainers = [[maintainer.name, maintainer.key] for maintainer in self.maintainers]
        return [self.version, self.threshold, self.scheme, maintainers]

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return codec.encode(self.to_wire())

    @classmethod
    def from_wire(cls, value: object) -> "Policy":
        """Return the policy in a decoded array.

        Raises:
            MalformedMessageError: It is none.
        """
        version, threshold, scheme, items = check_array(value, _SHAPE, "policy")
        pairs = [check_array(item, [str, bytes], "maintainer") for item in items]
        return cls(
            version=version,
            threshold=threshold,
            scheme=scheme,
            maintainers=tuple(Maintainer(name=name, key=MaintainerId(key)) for name, key in pairs),
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Policy":
        """Return the policy that ``data`` encodes.

        Raises:
            MalformedMessageError: It encodes none.
        """
        return cls.from_wire(read_array(data, _SHAPE, "policy", size_max_bytes=CBOR_SIZE_MAX_BYTES))
