"""What the documents say exists, exists."""

import re
import tomllib
from pathlib import Path

from tests.architecture.repository import ROOT, files, name_of

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
TEST = re.compile(r"^(tests/[\w/]+\.py)::(test_\w+)$", re.MULTILINE)
CONVERSATIONS = re.compile(r"conversations? ((?:`\w+`(?:, )?)+)")
TARGET = re.compile(r"^([a-z][a-z-]*):.*## ", re.MULTILINE)


def documents() -> list[Path]:
    return [path for path in files() if path.suffix == ".md"]


def code_of(path: Path) -> str:
    """Return what stands in the document's code blocks and inline code."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join(blocks + re.findall(r"`([^`\n]+)`", text))


def test_every_make_target_that_a_document_names_is_in_the_makefile() -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    assert {"demo", "test", "check", "bench"} <= targets

    for document in documents():
        named = set(re.findall(r"\bmake ([a-z][a-z-]*)", code_of(document)))
        assert named <= targets, name_of(document)


def test_the_readme_says_how_to_see_it_and_how_to_test_it() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert "make demo" in readme
    assert "make test" in readme


def test_every_test_that_a_document_names_exists() -> None:
    named = {(doc, *found) for doc in documents() for found in TEST.findall(code_of(doc))}
    assert len(named) > 30

    for document, file, test in sorted(named):
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(?:async )?def {test}\(", source, re.MULTILINE), (
            f"{name_of(document)} names {file}::{test}"
        )


def test_every_file_that_contributors_are_sent_to_exists() -> None:
    code = code_of(ROOT / "CONTRIBUTING.md")

    named = set(re.findall(r"\b(?:bftcluster|cli|simulations|tests|docs)/[\w./-]+", code))
    assert len(named) > 30
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_every_row_of_what_is_tested_says_where_or_why_not() -> None:
    text = (ROOT / "docs" / "what-is-tested.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Q])\d+.* \| (.+) \|$", text, re.MULTILINE)
    assert "".join(dict.fromkeys(group for group, _ in rows)) == "ABCDEFGHIJKLMNOPQ"
    assert len(rows) > 150

    cases = ROOT / "tests" / "datadriven" / "cases" / "pbft"
    told = [name for names in CONVERSATIONS.findall(text) for name in re.findall(r"\w+", names)]
    assert len(told) > 5
    for name in told:
        assert (cases / f"{name}.txt").exists(), name


def test_every_link_between_documents_leads_somewhere() -> None:
    for document in documents():
        for target in LINK.findall(document.read_text(encoding="utf-8")):
            if "://" in target or target.startswith(("#", "mailto:")):
                continue
            path = document.parent / target.partition("#")[0]
            assert path.exists(), f"{name_of(document)} links to {target}"


def test_every_decision_is_in_the_index_and_has_its_three_parts() -> None:
    folder = ROOT / "docs" / "adr"
    index = (folder / "index.md").read_text(encoding="utf-8")

    decisions = sorted(folder.glob("0*.md"))
    assert decisions
    for decision in decisions:
        assert f"({decision.name})" in index, decision.name
        text = decision.read_text(encoding="utf-8")
        for part in ("## Context", "## Decision", "## Consequence"):
            assert part in text, f"{decision.name} lacks {part}"


def test_the_version_is_the_same_wherever_it_stands() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    package = (ROOT / "bftcluster" / "__init__.py").read_text(encoding="utf-8")

    assert f'__version__: Final = "{project["version"]}"' in package


def test_every_runtime_dependency_is_locked_exactly_and_with_its_hash() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lock = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    locked = dict(
        re.findall(r"^([a-z0-9-]+)==\S+ (?:; .+ )?\\\n    --hash=(sha256):", lock, re.MULTILINE)
    )

    wanted = project["project"]["dependencies"] + project["build-system"]["requires"]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    for requirement in wanted:
        name = re.split(r"[\[=><!~; ]", requirement)[0].lower().replace("_", "-")
        assert name in locked, f"{name}: run `make lock`"
