"""A data folder to work in: the one that is there, or a new one where there is nothing."""

import secrets
from pathlib import Path

from engine.folder import IDENTITY, LOCK, UNFINISHED, DataFolder, FolderError


def make_folder(data: Path) -> None:
    """Make a data folder unless it is one already. FolderError where something else is there."""
    if data.exists() and not data.is_dir():
        raise FolderError(f"{data} is a file: name a folder")
    found = {path.name for path in data.iterdir()} if data.exists() else set()  # one look: another run may be at it
    if IDENTITY in found:
        return
    if found - {LOCK, UNFINISHED}:
        raise FolderError(f"{data} is not empty and no data folder of allot: name another folder")
    DataFolder.create(data, secrets.token_bytes(32)).close()
