"""``bftcluster key``: keys of maintainers."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bftcluster_cli.framework import noun, settings_of, verb
from bftcluster_cli.keys.key_files import (
    MAINTAINER_KIND,
    check_name,
    public_path,
    summarise,
    write_key_file,
    write_public_file,
)
from bftcluster_cli.keys.passphrases import new_passphrase
from bftcluster_cli.output import emit, say

app = noun("key", "Make and show a maintainer's signing key.")


class StrengthName(StrEnum):
    """How hard a passphrase is to guess from the file."""

    INTERACTIVE = "interactive"
    MODERATE = "moderate"
    SENSITIVE = "sensitive"


@verb(
    app,
    "new",
    "bftcluster key new alice",
    "bftcluster key new alice --output ~/keys/alice.key --passphrase-file pass.txt",
    "BFTCLUSTER_PASSPHRASE=… bftcluster key new alice --json",
)
def new(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Who the key belongs to, for people to read.")],
    output: Annotated[
        Path | None, typer.Option(help="Where the key file goes; NAME.key here by default.")
    ] = None,
    strength: Annotated[
        StrengthName,
        typer.Option(help="What each guess of the passphrase costs: 0.1, 0.5 or 3 seconds."),
    ] = StrengthName.MODERATE,
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="Let the file's mode alone protect the key.")
    ] = False,
) -> None:
    """Make a signing key: NAME.key, which is secret, and NAME.pub, which is to be sent around."""
    from bftcluster.ids import MaintainerId
    from bftcluster.signing.keyfile import Strength
    from bftcluster.signing.keys import maintainer_text

    settings = settings_of(ctx)
    path = Path(f"{check_name(name)}.key") if output is None else output
    for target in (path, public_path(path)):
        _refuse_existing(target)
    passphrase = b"" if no_passphrase else new_passphrase(settings)
    # Only an interactive-strength file is tried without asking: see key_files.open_maintainer_key.
    chosen = Strength.INTERACTIVE if no_passphrase else Strength[strength.name]
    key = write_key_file(
        path, kind=MAINTAINER_KIND, name=name, passphrase=passphrase, strength=chosen
    )
    text = maintainer_text(MaintainerId(key.public_key))
    write_public_file(public_path(path), name=name, key=text)
    say(f"keep {path} and its passphrase; send {public_path(path)} to whoever sets up the cluster")
    record = {"name": name, "key": text, "file": str(path), "public_file": str(public_path(path))}
    emit(settings, record, f"{name}={text}")


@verb(app, "show", "bftcluster key show alice.key", "bftcluster key show alice.pub --json")
def show(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A key file or a public key file.")],
) -> None:
    """Show whose key is in a file, and its public half. Needs no passphrase."""
    summary = summarise(file)
    record = {
        "name": summary.name,
        "key": summary.key,
        "kind": summary.kind,
        "secret": summary.is_secret,
        "file": str(file),
    }
    emit(settings_of(ctx), record, f"{summary.name}={summary.key}")


def _refuse_existing(path: Path) -> None:
    from bftcluster.errors import UsageError

    if path.exists():
        raise UsageError(f"{path} exists already", hint="name another file with --output")
