"""Fixtures for the tests of what is on disk."""

from pathlib import Path

import pytest

from bftcluster.storage.engine import sqlite_url


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return where a ledger store may be made."""
    return sqlite_url(tmp_path / "ledger.db")
