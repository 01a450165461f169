"""The configuration as people read it: a commented file, and what is in force."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from bftcluster.node.process.config import Config


def default_text(**overrides: dict[str, Any]) -> str:
    """Return a commented ``config.toml``; only ``overrides`` (section -> key -> value) are set."""
    lines = ["# bftcluster peer configuration. A line that starts with # shows the default.", ""]
    for section, spec in _sections():
        lines += [f"[{section}]"]
        for key in dataclasses.fields(spec):
            value = overrides.get(section, {}).get(key.name)
            shown = getattr(spec(), key.name) if value is None else value
            lines.append(f"# {key.metadata['doc']}")
            lines.append(("# " if value is None else "") + f"{key.name} = {toml_text(shown)}")
        lines.append("")
    return "\n".join(lines)


def in_force(config: Config) -> list[tuple[str, Any, bool, str]]:
    """Return ``(key, value, is_default, explanation)`` for every setting, in file order."""
    rows = []
    for section, spec in _sections():
        default, actual = spec(), getattr(config, section)
        for key in dataclasses.fields(spec):
            value = getattr(actual, key.name)
            same = value == getattr(default, key.name)
            rows.append((f"{section}.{key.name}", value, same, key.metadata["doc"]))
    return rows


def _sections() -> Iterator[tuple[str, Any]]:
    for section in dataclasses.fields(Config):
        if section.name != "directory":
            yield section.name, section.default_factory


def toml_text(value: object) -> str:
    """Return a value as a TOML file writes it."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{json.dumps(k)} = {toml_text(v)}" for k, v in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(toml_text(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)
