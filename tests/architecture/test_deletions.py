"""No kind of operation, request, frame or step can be forgotten: its deletion does not pass."""

import pytest

from tests.architecture.deletions import TABLES, deletions, fates_by_tests, fates_by_types
from tests.architecture.repository import ROOT

BY_TYPES = [table for table in TABLES if not table.tests]
BY_TESTS = [table for table in TABLES if table.tests]


def test_a_deletion_leaves_python_without_one_entry() -> None:
    every = deletions()

    assert {deletion.table for deletion in every} == set(TABLES)
    assert len({deletion.name for deletion in every}) == len(every) > 90
    for deletion in every:
        assert len(deletion.after) < len(deletion.before)
        compile(deletion.after, deletion.table.file, "exec")
        others = [each for each in every if each.table == deletion.table and each != deletion]
        assert all(each.after != deletion.after for each in others)


def test_what_must_notice_a_deletion_exists() -> None:
    assert all((ROOT / path).exists() for table in BY_TESTS for path in table.tests)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whoever_deletes_a_member_of_a_union_or_enumeration_has_a_type_error() -> None:
    fates = fates_by_types(deletions(BY_TYPES))

    assert [fate.line for fate in fates if not fate.noticed_by] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_whoever_deletes_an_entry_of_a_mapping_fails_a_fast_test() -> None:
    fates = await fates_by_tests(deletions(BY_TESTS))

    assert [fate.line for fate in fates if not fate.noticed_by] == []
