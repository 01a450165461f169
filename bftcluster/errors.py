"""Every expected failure. A bug is an ``AssertionError``, outside this tree.

ClusterError                      every expected failure; has .hint
├── ConfigError                   a file or flag is wrong
├── UsageError                    a command or request asks for what makes no sense
│   └── InvalidCidError           text or bytes that are no CID
├── RefusedError                  the cluster understood, and said no
├── NotFoundError                 what was asked about is not part of the replicated state
├── NotReachedError               nobody answered in time, or too few did
├── HaltedError                   more than f replicas are faulty
├── ProtocolError
│   ├── LocalProtocolError        our caller asked for what the protocol forbids
│   └── RemoteProtocolError       a peer sent it
│       └── MalformedMessageError
├── SigningError
│   ├── BadSignatureError
│   ├── UnknownSignerError
│   ├── ThresholdNotMetError
│   └── KeyFileError
├── StorageError
│   ├── CorruptRecordError
│   ├── SchemaVersionError
│   └── FatalStorageError         the process must stop: what is durable is no longer known
├── TransportError
│   ├── PeerUnreachableError
│   ├── MessageTooLargeError
│   ├── RequestTimeoutError
│   └── RemoteCallError
└── BlockStoreError
    ├── BlockNotFoundError
    ├── CidMismatchError
    ├── MalformedContentError
    └── StoreFullError
"""

from collections.abc import Collection


class BrokenPromiseError(AssertionError):
    """A bug of ours that would have made this replica contradict itself.

    Raised rather than asserted, so that it is noticed with assertions off, too.
    """


class ClusterError(Exception):
    """An expected failure.

    Attributes:
        hint: What the user can do next; empty if there is nothing to say.
    """

    hint: str = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        if hint:
            self.hint = hint


class ConfigError(ClusterError):
    """A file or flag is wrong."""


def first_error(group: BaseExceptionGroup["ClusterError"]) -> "ClusterError":
    """Return the first failure of a group, whose groups have members."""
    for exc in group.exceptions:
        return first_error(exc) if isinstance(exc, BaseExceptionGroup) else exc
    raise AssertionError("a group has members")


def require_assertions() -> None:
    """Refuse to run with assertions off: they guard the protocol in production.

    Every entry point calls it first. The compiled core asserts in any case, but not all of us is
    compiled.

    Raises:
        ConfigError: They are off.
    """
    if not __debug__:
        raise ConfigError(
            "bftcluster does not run with assertions off",
            hint="start Python without -O, and unset PYTHONOPTIMIZE",
        )


class UsageError(ClusterError):
    """A command or request asks for what makes no sense."""


class InvalidCidError(UsageError):
    """Text or bytes that are no CID this cluster can verify."""

    hint = "a CID looks like bafy… (version 1) or Qm… (version 0); `ipfs cid format` can convert it"


class RefusedError(ClusterError):
    """The cluster understood the request, and refused it."""


class NotFoundError(ClusterError):
    """What was asked about is not part of the replicated state."""


class NotReachedError(ClusterError):
    """Nobody answered in time, or too few did."""


class HaltedError(ClusterError):
    """More than f replicas are faulty, or our own state is damaged: going on would hide it."""

    hint = "keep the file, tell the other operators, and compare what each cluster member decided"


class ProtocolError(ClusterError):
    """A rule of a protocol was broken."""


class LocalProtocolError(ProtocolError):
    """Our own caller asked for what the protocol forbids."""


class RemoteProtocolError(ProtocolError):
    """A peer sent what the protocol forbids."""


class MalformedMessageError(RemoteProtocolError):
    """Bytes that are no message: too long, not canonical, or of the wrong shape."""


class SigningError(ClusterError):
    """A key, signature or certificate is wrong."""


class BadSignatureError(SigningError):
    """A signature does not verify."""


class UnknownSignerError(SigningError):
    """A signer is not one of those who may sign."""


class ThresholdNotMetError(SigningError):
    """Too few distinct signers.

    Attributes:
        required: Signatures needed.
        signers: Distinct keys whose signature verified.
    """

    hint = "collect more: `bftcluster pin approve`, or `bftcluster pin sign` for what is in a file"

    def __init__(self, *, required: int, signers: Collection[bytes]) -> None:
        self.required = required
        self.signers = frozenset(signers)
        super().__init__(f"{len(self.signers)} of {required} required signatures")


class KeyFileError(SigningError):
    """A key file cannot be opened: wrong passphrase, mode, format or contents."""


class StorageError(ClusterError):
    """The disk does not hold what it should, or does not accept more."""


class CorruptRecordError(StorageError):
    """A stored record fails its checksum or its chain."""


class SchemaVersionError(StorageError):
    """Written by another version."""


class FatalStorageError(StorageError):
    """A durable write or its fsync failed. The process must stop: what the disk holds is unknown.

    Never retried: after a failed fsync the kernel may report the next one as a success although the
    bytes are gone.
    """


class TransportError(ClusterError):
    """The network did not do what was asked."""


class PeerUnreachableError(TransportError):
    """No connection to the peer."""


class MessageTooLargeError(TransportError):
    """A frame is over its limit."""


class RequestTimeoutError(TransportError):
    """A peer did not answer in time."""


class RemoteCallError(TransportError):
    """A peer answered a call with an error.

    Attributes:
        code: Which, in one word: "unknown-method", "refused", "busy", "failed".
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class BlockStoreError(ClusterError):
    """A block store cannot do what was asked."""


class BlockNotFoundError(BlockStoreError):
    """The block is not here."""


class CidMismatchError(BlockStoreError):
    """The bytes are not what the CID names."""


class MalformedContentError(BlockStoreError):
    """A block, DAG or CAR that is not what its format says, though its hash may be right."""


class StoreFullError(BlockStoreError):
    """The quota or the disk has no room for it."""

    hint = "raise `storage.quota` in the config, or free space with `bftcluster pin rm`"
