"""A name says what it is without the folder that it lies in."""

import ast
import re
from collections import defaultdict

from tests.architecture.repository import CODE_FOLDERS, ROOT, modules, name_of

CLASS_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*")

FIELD = {
    "agreement and state sync": """
        asker body case catch change deadline evidence execution history holder lane membership
        new normal operation penalty pool probation proof proposal proposer reallocation relevance
        replay replication resubmission retention rewind rewinder sign signature source
        speech submission suspicion sync throttle transfer up verdict verification vote weight
    """,
    "signing": "envelope field identity key keyfile scheme",
    "threshold signatures": "blst ciphersuite curve library polynomial python scalar transcript",
    "IPLD, UnixFS and the exchange of blocks": """
        add adder builder car cbor codec directory entry exchange extract fetch fetcher file
        flatfs index ingest layout name pb protobuf survey tree unixfs unsynced
    """,
    "policies of integers": "arithmetic logarithm",
    "networks": """
        address frame gate gateway host http1 inbox message negotiation network noise outbox rpc
        stream tcp traffic yamux
    """,
    "HTTP": """
        admission app asgi filter health json list listen guard member metric multipart
        option query embedded family server shape tar upload
    """,
    "storage": """
        archive cache database disk engine garbage group memory row schema
        space stage stash store writer
    """,
    "what any program has": """
        adaptive bounded care clock config content context count daemon delegated duty error event
        expiry healer id interpreter item kind limit lock offload order pace page part plan port
        quantity queue read reader retry scan sender service setting signal text thread visible
        waiter wire work
    """,
}
"""Nouns of the field, besides the glossary's, and what goes before them in the name of a module."""

GERUNDS: frozenset[str] = frozenset({"standing"})
"""Words of the field that end like what somebody is doing, and are things."""


def classes_of(folder: str) -> dict[str, list[str]]:
    """Return where each public class of ``folder`` is defined."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in modules(f"{folder}/"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name_of(path))
    return places


def module_names() -> list[str]:
    return [
        name_of(path).removeprefix("bftcluster/").removesuffix(".py")
        for path in modules("bftcluster/")
        if not path.stem.startswith("__")
    ]


def words_of(module: str) -> list[str]:
    return module.rpartition("/")[2].split("_")


def singular(word: str) -> str:
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith("ches"):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def known_words() -> set[str]:
    """Return the words of the glossary's first column and of the field, in the singular."""
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \|", glossary, re.MULTILINE)
    words = re.findall(r"[a-z0-9]+", " ".join([*rows, *FIELD.values()]).lower())
    return {singular(word) for word in words}


def test_no_two_public_classes_have_one_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for folder in CODE_FOLDERS:
        for name, files in classes_of(folder).items():
            places[name] += files

    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_no_two_public_classes_have_the_same_words_in_another_order() -> None:
    by_words: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for folder in CODE_FOLDERS:
        for name in classes_of(folder):
            by_words[tuple(sorted(CLASS_WORD.findall(name)))].add(name)

    assert [sorted(names) for names in by_words.values() if len(names) > 1] == []


def test_a_module_is_a_noun_of_the_glossary_or_of_the_field() -> None:
    known = known_words()

    unknown = {
        module: word
        for module in module_names()
        for word in words_of(module)
        if singular(word) not in known
    }
    assert unknown == {}


def test_the_list_of_the_fields_nouns_holds_no_more_than_modules_need() -> None:
    needed = {singular(word) for module in module_names() for word in words_of(module)}

    listed = [singular(word) for words in FIELD.values() for word in words.split()]
    assert sorted(word for word in listed if word not in needed) == []
    assert len(listed) == len(set(listed))


def test_no_module_is_named_by_what_it_is_doing() -> None:
    doing = [
        module
        for module in module_names()
        if any(word.endswith("ing") and word not in GERUNDS for word in words_of(module))
    ]

    assert doing == []
