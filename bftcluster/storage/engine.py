"""The database behind a URL: SQLite tuned for one writer and many readers, or any other."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from bftcluster.errors import ConfigError, FatalStorageError
from bftcluster.storage.disk import sync_directory

READERS_MAX: Final = 16
"""More than a peer has threads that read the ledger: whoever reads finds a connection free."""
SUPPORTED: Final = ("sqlite", "postgresql")

_PRAGMAS: Final = (
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA cache_size = -1024",
    "PRAGMA wal_autocheckpoint = 8192",
    "PRAGMA journal_size_limit = 67108864",
)
"""NORMAL may lose the last commits to a power cut, but tears none: the replica redoes them."""


def sqlite_url(path: Path) -> str:
    """Return the URL of the SQLite file ``path``."""
    return sa.URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def tune_writer(connection: sa.Connection) -> None:
    """Give the one writing connection the cache that random inserts need."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA cache_size = -16384").close()
        connection.commit()


def make_engine(url: str) -> sa.Engine:
    """Return an engine with its pool; connects on first use.

    Raises:
        ConfigError: No such URL, dialect or driver.
    """
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() not in SUPPORTED:
            raise ConfigError(
                f"no support for {parsed.get_backend_name()} databases",
                hint="use sqlite:///file or postgresql+psycopg://…",
            )
        engine = sa.create_engine(parsed, pool_size=READERS_MAX, max_overflow=0)
    except (sa.exc.ArgumentError, ModuleNotFoundError, TypeError) as exc:
        raise ConfigError(
            f"cannot use the database URL: {exc}",
            hint="it looks like sqlite:////var/lib/bftcluster/ledger.db, or "
            "postgresql+psycopg://user@host/name with psycopg installed",
        ) from None
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _tune_sqlite)
    return engine


def make_durable(engine: sa.Engine) -> None:
    """Make a database file's own entry durable; SQLite leaves that to whoever creates it."""
    database = engine.url.database
    if engine.dialect.name == "sqlite" and database:
        sync_directory(Path(database).resolve().parent)


@contextmanager
def fatal_errors(action: str) -> Iterator[None]:
    """Turn what a database says into the error that stops the process."""
    try:
        yield
    except sa.exc.DBAPIError as exc:
        reason = str(exc.orig)
        raise FatalStorageError(
            f"cannot {action} the ledger: {reason}",
            hint="free some space, then start the peer again"
            if "full" in reason
            else "check the database and its disk before you start the peer again",
        ) from exc


def _tune_sqlite(connection: sa.engine.interfaces.DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()
