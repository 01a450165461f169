"""One measured number, and what it is to be compared with."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A row of the table.

    ``limit`` is in the unit of ``value``: what the machine can do at best, measured in the same
    run, or a fixed goal; None if there is neither.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    command: str = ""
    """How to measure this one again; the harness fills it in."""

    @property
    def ratio(self) -> float | None:
        """Return ``value`` as a part of ``limit``."""
        return self.value / self.limit if self.limit else None

    def as_row(self) -> dict[str, str | float | None]:
        """Return the fields as results.json has them."""
        row: dict[str, str | float | None] = asdict(self)
        ratio = self.ratio
        row["ratio"] = None if ratio is None else _rounded(ratio)
        row["value"] = _rounded(self.value)
        row["limit"] = None if self.limit is None else _rounded(self.limit)
        return {key: row[key] for key in ("name", "value", "unit", "limit", "ratio", "command")}


def _rounded(number: float) -> float:
    """Return four significant digits: more would be noise."""
    return float(f"{number:.4g}")
