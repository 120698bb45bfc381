"""Models on the Hugging Face Hub, named `hf://user/name` or `hf://user/name@revision`: download and upload.

What is downloaded is somebody else's file, and is read like any other: see `saved.load_model`.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from avpipeline.errors import InputError
from avpipeline.files import first_line

MODEL_FILE = "model.keras"
# The largest model of the five papers, 8000 units wide, takes under 1 GB.
_MOST_BYTES = 1 << 32
# As a path, hf://user/name loses one of its slashes.
_NAME = re.compile(r"hf:/{1,2}([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(\w[\w.-]*(?:/\w[\w.-]*)*))?")


@dataclasses.dataclass(frozen=True)
class Repository:
    """A repository of the Hub.

    Attributes:
      name: `"user/name"`.
      revision: branch, tag or commit; None for the newest.
    """

    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"hf://{self.name}" + (f"@{self.revision}" if self.revision else "")


def repository(text) -> Repository | None:
    """What `hf://user/name` names; None for a path of this machine, InputError for another form of `hf:`."""
    if not re.match("hf:/", str(text)):
        return None
    found = _NAME.fullmatch(str(text))
    if not found:
        raise InputError(f"{text}: names no model on the Hugging Face Hub; write hf://user/name.")
    return Repository(*found.groups())


def client():
    """huggingface_hub's client; InputError where the package is not installed."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise InputError(
            'hf://: needs the package huggingface_hub; run pip install "audio-visual-fusion[hub]".'
        ) from error
    return huggingface_hub.HfApi()


def download(wanted: Repository, api=None) -> Path:
    """The repository's model file in huggingface_hub's cache; from the cache alone where the Hub is out of reach.

    Args:
      api: a `huggingface_hub.HfApi`; None makes one.

    Raises:
      InputError: there is no such repository or model file, it is too large, or it is neither reached nor cached.
    """
    api = api or client()
    where = {"revision": wanted.revision}
    try:
        found = api.get_paths_info(wanted.name, [MODEL_FILE], **where)
    except Exception as error:  # of huggingface_hub, of its HTTP library, of the network
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403, 404) or type(error).__name__ == "HFValidationError":
            raise InputError(
                f"{wanted}: the Hugging Face Hub has no such model, or not for you ({first_line(error)}); check the "
                "name, or log in with `hf auth login`."
            ) from error
        try:
            return Path(api.hf_hub_download(wanted.name, MODEL_FILE, **where, local_files_only=True))
        except Exception:
            raise InputError(
                f"{wanted}: the Hugging Face Hub is not reached ({first_line(error)}), and the model is not in the "
                "cache; try again with a network, or give a .keras file."
            ) from error
    # A folder of that name has no size.
    if not found or not hasattr(found[0], "size"):
        raise InputError(f"{wanted}: has no {MODEL_FILE}; name a repository that python -m PAPER.publish has written.")
    if found[0].size > _MOST_BYTES:
        raise InputError(f"{wanted}: its {MODEL_FILE} has {found[0].size:,} bytes, more than any model of the papers.")
    try:
        return Path(api.hf_hub_download(wanted.name, MODEL_FILE, **where))
    except Exception as error:
        raise InputError(f"{wanted}: could not be downloaded ({first_line(error)}); try again.") from error


def upload(folder: Path, target: Repository, api=None, *, private: bool = False) -> str:
    """Uploads a folder into a repository, which is created if there is none; returns the address of the commit.

    Args:
      api: as for `download`.
      private: whether a new repository is hidden from others.

    Raises:
      InputError: it could not be uploaded.
    """
    if target.revision:
        raise InputError(f"{target}: an upload makes a new revision; leave out @{target.revision}.")
    try:
        api = api or client()
        api.create_repo(target.name, exist_ok=True, private=private)
        made = api.upload_folder(
            repo_id=target.name, folder_path=folder, commit_message="python -m PAPER.publish", ignore_patterns=[".*"]
        )
    except Exception as error:
        raise InputError(
            f"{target}: nothing was uploaded ({first_line(error).removeprefix('hf://: ')}), but {folder} is complete; "
            f"the same command tries again, and so does `hf upload {target.name} {folder}`."
        ) from error
    return str(getattr(made, "commit_url", made))
