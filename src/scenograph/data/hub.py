"""Packs on the Hugging Face hub."""

from __future__ import annotations

import shutil
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HFValidationError

from scenograph.data.pack import read_record, verify_pack
from scenograph.data.remote import fetch_pack, is_address, push_files
from scenograph.errors import UserError, reason


def push_pack(folder: Path, repository: str, private: bool = False) -> str:
    """Upload a pack to the Hugging Face hub, with a card, or to any address.

    Args:
        folder: The pack.
        repository: ``user/name`` of the data set, made if it is missing; or an address, such as ``s3://bucket/name``.
        private: Whether a new data set is private.

    Returns:
        The data set's address.

    Raises:
        UserError: The folder is no pack, nobody is logged in, or the hub refuses.
    """
    record = read_record(folder)
    if is_address(repository):
        push_files(folder, repository)
        return repository
    api = HfApi()
    try:
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        api.upload_file(
            path_or_fileobj=_card(record, repository).encode(),
            path_in_repo="README.md",
            repo_id=repository,
            repo_type="dataset",
        )
        api.upload_folder(folder_path=folder, repo_id=repository, repo_type="dataset", ignore_patterns="graphs/*")
    except (OSError, HFValidationError) as error:  # the hub's errors are OSErrors
        raise UserError(f"cannot upload to {repository}: {reason(error)} (log in with: hf auth login)") from error
    return f"{api.endpoint}/datasets/{repository}"


def pull_pack(repository: str, folder: Path) -> Path:
    """Download a pack from the Hugging Face hub, or from any address, verified or not at all.

    Args:
        repository: ``user/name`` of the data set, or an address.
        folder: Must not exist.

    Returns:
        The folder.

    Raises:
        UserError: The folder exists, or the data set cannot be downloaded or is no whole pack.
    """
    if folder.exists():
        raise UserError(f"{folder} exists; delete it or choose another name")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A fixed name lets an interrupted download continue.
    temporary = folder.parent / f".{folder.name}.partial"
    try:
        if is_address(repository):
            fetch_pack(repository, temporary)
        else:
            snapshot_download(repository, repo_type="dataset", local_dir=temporary)
    except (OSError, HFValidationError) as error:
        raise UserError(f"cannot download {repository}: {reason(error)}") from error
    problems = verify_pack(temporary)
    if problems:
        raise UserError(f"{repository}: not a whole pack: {problems[0]}")
    shutil.rmtree(temporary / ".cache", ignore_errors=True)
    temporary.rename(folder)
    return folder


def _card(record: dict[str, object], repository: str) -> str:
    splits = record["splits"]
    assert isinstance(splits, dict)
    lines = [f"- {name}: {part['scenes']} scenes, {part['objects']} objects" for name, part in splits.items()]
    return "\n".join(
        [
            f"# {repository.partition('/')[2]}",
            "",
            f"Scenes packed from {record['source']} by Scenograph.",
            "",
            *lines,
            "",
            "```",
            f"scenograph data pull {repository} --out packs/{repository.partition('/')[2]}",
            "```",
            "",
        ]
    )
