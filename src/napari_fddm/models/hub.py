"""Models and backbones on the Hugging Face hub, fetched with the user's own access.

``hf:owner/name`` or ``hf:owner/name@revision`` names a repository. huggingface_hub
downloads it, so its cache, the user's token and HF_HUB_OFFLINE apply.

Only `fetch_model`, `fetch_backbone` and `convert_backbone` open a connection; they are called
when the user says so. Everything else finds what lies on this computer (`offline`).

A backbone like UNI may not be passed on, so a model's folder can hold its adapters
and heads alone, and its card names the backbone's repository. The backbone is then
looked for in the folder that NAPARI_FDDM_BACKBONES names, as
``owner/name/model.safetensors``, and on the hub. Pickles (``pytorch_model.bin``) are
never loaded; `convert_backbone` turns one into safetensors on the user's command::

    python -m napari_fddm.models.hub hf:MahmoodLab/UNI
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_fddm.core.errors import DownloadNeededError, FddmError, WeightsError
from napari_fddm.core.outside.text import visible
from napari_fddm.models.tensor_files import save_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "hf:"
BACKBONES_VARIABLE = "NAPARI_FDDM_BACKBONES"
BACKBONE_NAME = "model.safetensors"
PICKLE_NAME = "pytorch_model.bin"
MODEL_FILES = ("card.json", "*.safetensors", "LICENSE*", "NOTICE*", "README*")
"""What is fetched of a model: no code, no pickles."""
_PART = r"[A-Za-z0-9](?:[\w.-]*\w)?"
_SOURCE = re.compile(rf"{PREFIX}({_PART}/{_PART})(?:@((?!.*\.\.)[\w./-]+))?")


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository on the hub.

    Attributes
    ----------
    repo : str
        "owner/name".
    revision : str or None
        Branch, tag or commit; None for the newest.
    """

    repo: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> HubSource:
        """Read ``hf:owner/name[@revision]``.

        Raises
        ------
        WeightsError
            If the text has another form.
        """
        match = _SOURCE.fullmatch(text)
        if match is None:
            raise WeightsError(
                f"{text!r} is no model on the hub.", hint="Write hf:owner/name or …@revision."
            )
        return cls(match[1], match[2])

    @property
    def page(self) -> str:
        """Where a person sees it and requests access."""
        return f"https://huggingface.co/{self.repo}"


@contextmanager
def offline() -> Iterator[None]:
    """Keep huggingface_hub, and libraries that use it, from opening a connection in the block.

    What its cache holds is found. The switch is one for the whole process.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def find_snapshot(source: HubSource) -> Path:
    """Return the folder of a model that was fetched before.

    Raises
    ------
    DownloadNeededError
        If it was not.
    """
    with _stored(source), offline():
        return _snapshot(source, stored=True)


def fetch_model(source: HubSource) -> Path:
    """Return the folder of a model, downloaded unless the cache has it.

    Its files are checked against the card when they are loaded.

    Raises
    ------
    WeightsError
        If there is no access, no connection or no such model.
    """
    by_hand = f"Download its files from {source.page} by hand and give their folder to --model."
    with _explaining(source, by_hand):
        return _snapshot(source)


def find_backbone(source: HubSource) -> Path:
    """Return the safetensors file of a backbone: the user's own, or one that was fetched before.

    Raises
    ------
    DownloadNeededError
        If there is none; says where to put the file.
    """
    mine = _own_backbone(source)
    if mine.is_file():
        return mine
    with _stored(source, f"Or put its weights, as safetensors, into {mine} by hand."), offline():
        return _file(source, BACKBONE_NAME, stored=True)


def fetch_backbone(source: HubSource) -> Path:
    """Return the safetensors file of a backbone: the user's own, or one from the hub.

    Raises
    ------
    WeightsError
        If there is none, no access or no connection; says which page to open or
        where to put the file.
    """
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    mine = _own_backbone(source)
    if mine.is_file():
        return mine
    with _explaining(source, f"Or put its weights, as safetensors, into {mine} by hand."):
        try:
            return _file(source, BACKBONE_NAME)
        except LocalEntryNotFoundError:  # offline; `_explaining` words it
            raise
        except EntryNotFoundError:
            raise WeightsError(
                f"{source.page} offers no {BACKBONE_NAME}, and pickles are never loaded unasked.",
                hint="Convert its file once with: python -m napari_fddm.models.hub "
                f"{PREFIX}{source.repo}",
            ) from None


def convert_backbone(source: HubSource) -> Path:
    """Turn a repository's pickle into the safetensors file that `find_backbone` finds.

    Only on the user's command, for files that the user trusts: torch's restricted unpickler
    (``weights_only``) reads tensors alone, and nothing else calls it.

    Raises
    ------
    WeightsError
        If the file cannot be fetched or is no dictionary of tensors.
    """
    import torch

    if tuple(int(n) for n in torch.__version__.split(".")[:2]) < (2, 6):
        raise WeightsError(
            f"torch {torch.__version__} cannot read a pickle safely (CVE-2025-32434).",
            hint="Install torch 2.6 or newer to convert it.",
        )
    target = _own_backbone(source)
    given = target.with_name(PICKLE_NAME)
    by_hand = f"Or put its {PICKLE_NAME} into {target.parent} by hand."
    path = given
    if not given.is_file():
        with _explaining(source, by_hand):
            path = _file(source, PICKLE_NAME)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling can raise anything
        raise WeightsError(
            f"{path} is refused: it holds more than tensors, or is damaged.",
            hint="Download it again, or get the weights as safetensors.",
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise WeightsError(
            f"{path} is refused: it is no dictionary of tensors.",
            hint="Get the weights as safetensors.",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(state, target)
    return target


def backbones_folder() -> Path:
    """Return the folder of backbones that the user placed by hand or converted."""
    from platformdirs import user_data_path

    named = os.environ.get(BACKBONES_VARIABLE)
    return Path(named).expanduser() if named else user_data_path("napari-fddm") / "backbones"


def _own_backbone(source: HubSource) -> Path:
    return backbones_folder() / source.repo / BACKBONE_NAME


def _snapshot(source: HubSource, *, stored: bool = False) -> Path:
    import huggingface_hub

    return Path(
        huggingface_hub.snapshot_download(
            source.repo,
            revision=source.revision,
            allow_patterns=list(MODEL_FILES),
            local_files_only=stored,
        )
    )


def _file(source: HubSource, name: str, *, stored: bool = False) -> Path:
    import huggingface_hub

    return Path(
        huggingface_hub.hf_hub_download(
            source.repo, name, revision=source.revision, local_files_only=stored
        )
    )


@contextmanager
def _stored(source: HubSource, by_hand: str = "") -> Iterator[None]:
    """Turn the errors about what is not on this computer into one that asks for a download."""
    from huggingface_hub import errors

    try:
        yield
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, OSError, ValueError) as e:
        raise download_needed(source.repo, by_hand) from e


def download_needed(name: str, by_hand: str = "") -> DownloadNeededError:
    """Return the error that asks the user for leave to fetch something from the hub."""
    return DownloadNeededError(
        f"the model needs {name} from the Hugging Face hub.",
        hint=f"--allow-download fetches it. {by_hand}".strip(),
    )


@contextmanager
def _explaining(source: HubSource, by_hand: str) -> Iterator[None]:
    """Turn the errors of huggingface_hub into one line with a hint."""
    from huggingface_hub import errors

    log_in = "then log in with `hf auth login` or set HF_TOKEN"
    try:
        yield
    except errors.GatedRepoError as error:
        raise WeightsError(
            f"the weights of {source.repo} are gated and your account has no access to them.",
            hint=f"Open {source.page}, request access there, {log_in}. {by_hand}",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise WeightsError(
            f"{source.repo} has no revision {source.revision!r}.", hint=f"See {source.page}."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise WeightsError(
            f"there is no model {source.repo} on the hub, or it is private.",
            hint=f"Open {source.page}; if you see it there, {log_in}. {by_hand}",
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise WeightsError(
            f"{source.repo} is not in the cache, and the hub cannot be reached "
            "(no connection, or HF_HUB_OFFLINE is set).",
            hint=f"Connect once. {by_hand}",
        ) from error
    except errors.HfHubHTTPError as error:
        if getattr(error.response, "status_code", None) in {401, 403}:
            raise WeightsError(
                f"the hub refuses you access to {source.repo}.",
                hint=f"Open {source.page}, request access there, {log_in}. {by_hand}",
            ) from error
        raise WeightsError(
            f"the hub cannot give {source.repo}: {_line(error)}.", hint=by_hand
        ) from error
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{source.repo} cannot be fetched: {_line(error)}.", hint=by_hand
        ) from error


def _line(error: Exception) -> str:
    return (str(error).strip().partition("\n")[0] or type(error).__name__).rstrip(".")[:200]


if __name__ == "__main__":
    try:
        if len(sys.argv) != 2:
            raise WeightsError("one backbone has to be named.", hint="Write hf:owner/name.")
        sys.stdout.write(f"{visible(convert_backbone(HubSource.parse(sys.argv[1])))}\n")
    except FddmError as error:
        sys.stderr.write(f"error: {visible(str(error))}\n")
        sys.exit(2)
