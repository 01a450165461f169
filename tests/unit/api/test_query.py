"""Values as Go reads them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftcluster.api.http.json_text import time_text
from bftcluster.api.http.query import boolean, integer, parse_duration_ms, parse_time_ms
from bftcluster.errors import UsageError


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("72h", 259_200_000),
        ("1h15m30.918s", 4_530_918),
        ("1.5s", 1_500),
        (".5s", 500),
        ("300ms", 300),
        ("-2m", -120_000),
        ("+1µs", 0),
        ("1h", 3_600_000),
    ],
)
def test_go_durations_are_read(text: str, ms: int) -> None:
    assert parse_duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "1", "h", "1d", "1h 1m", "-", "1h-1m", "s" * 100, "1e3s"])
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration_ms(text)


@given(st.integers(min_value=1, max_value=253_402_300_799_999))
def test_a_time_survives_its_text(ms: int) -> None:
    assert parse_time_ms(time_text(ms)) == ms


@given(st.text(max_size=40))
def test_any_text_is_a_duration_and_a_time_or_refused(text: str) -> None:
    for parse in (parse_duration_ms, parse_time_ms):
        with suppress(UsageError):
            assert isinstance(parse(text), int)


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_gos_words_for_true_are_true(text: str) -> None:
    assert boolean({"flag": text}, "flag")


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False"])
def test_gos_words_for_false_are_false(text: str) -> None:
    assert not boolean({"flag": text}, "flag", default=True)


@pytest.mark.parametrize("text", ["yes", "2", "tRUE", " true"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        boolean({"flag": text}, "flag")


@pytest.mark.parametrize("text", ["1.0", "0x1", "1_000", "٣", "99999999999999999999"])
def test_only_decimal_digits_are_numbers(text: str) -> None:
    with pytest.raises(UsageError):
        integer({"n": text}, "n", default=7, lowest=0, highest=10_000)
