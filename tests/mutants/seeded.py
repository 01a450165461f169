"""The catalogue of seeded bugs: what it says, and which rules it keeps."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CATALOGUE = Path(__file__).with_name("catalogue.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One bug that the tests must notice."""

    name: str
    """In words."""
    pitfall: str
    """The mistake it stands for, as PBFT's implementers number them: "P1" to "P43"."""
    file: str
    """Where, relative to the repository."""
    old: str
    """The source that it replaces. Occurs once in the file."""
    new: str
    tests: tuple[str, ...]
    """Paths of `make test` of which one must fail."""

    def seed(self, root: Path) -> None:
        """Make this the one bug of the copy at ``root``.

        Raises:
            ValueError: ``old`` does not occur exactly once.
            SyntaxError: The result is not Python.
        """
        path = root / self.file
        source = path.read_text(encoding="utf-8")
        if (count := source.count(self.old)) != 1:
            raise ValueError(f"{self.name}: the fragment occurs {count} times in {self.file}")
        seeded = source.replace(self.old, self.new)
        compile(seeded, self.file, "exec")
        path.write_text(seeded, encoding="utf-8")


def catalogue() -> tuple[Mutant, ...]:
    """Return every mutant, in the order of the file."""
    entries = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))["mutant"]
    return tuple(Mutant(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries)
