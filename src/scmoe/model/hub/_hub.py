"""`push_to_hub` and `from_hub`: a model folder to and from a repository of the Hugging Face hub."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import NamedTuple, TypeVar

from anndata import AnnData
from mudata import MuData

from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.model._base import BaseModel
from scmoe.model.hub._card import LICENSE, model_card
from scmoe.model.hub._contents import CARD, FILES, SETTINGS, WEIGHTS, check_names
from scmoe.model.hub._info import model_info

M = TypeVar("M", bound=BaseModel)
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
OFFLINE = (
    "Check the connection (and HF_ENDPOINT, HF_HUB_OFFLINE), or fetch the folder on another machine and load it: "
    "scmoe.model.SCMOE.load(folder), on the command line --model FOLDER. The model that comes with scmoe needs no "
    'network: scmoe.datasets.reference("bmmc_cite"), --model bmmc_cite.'
)


class Snapshot(NamedTuple):
    """A model of the hub, in the cache."""

    folder: Path
    commit: str


@checks_arguments
def push_to_hub(
    self: BaseModel,
    repo_id: str,
    *,
    license: str,
    description: str = "",
    private: bool = False,
    token: str | None = None,
) -> str:
    """Write the model to a repository of the Hugging Face hub, with a card that says what it is.

    What travels is the folder that `save` writes (numbers and text, no code), and ``README.md``, written from the
    model: cells, panel, labels, scores on held-out cells, limits, license, how to map a query. Names of features,
    labels and batches can be read by whoever may read the repository, and so can positions in the embedding of up to
    1000 training cells; values of cells are not in it. Rename batches that name patients before training.

    Parameters
    ----------
    repo_id
        ``"organization/name"``; made if it is not there. It must hold nothing but a model.
    license
        Identifier of the license that others may use the model under, such as ``"mit"``, ``"cc-by-4.0"`` or
        ``"other"``. The data that it was trained on may decide that.
    description
        What the model was trained on: tissue, species, technology, source.
    private
        Whether a new repository is private.
    token
        Of the hub; None: that of ``hf auth login``.

    Returns
    -------
    str
        The commit, which `from_hub` takes as `revision`.

    Raises
    ------
    ImportError
        ``huggingface_hub`` is not installed.
    ValueError
        The model is not trained, `repo_id` or `license` is no such name, or the repository holds other files.
    ConnectionError
        The hub cannot be reached, or refuses; nothing was changed there.

    Examples
    --------
    >>> model.push_to_hub("org/name", license="mit", description="Human marrow, CITE-seq")  # doctest: +SKIP
    """
    hub, repo_id = import_hub(), check_repository(repo_id)
    if not LICENSE.fullmatch(license):
        raise ValueError(f"license must be an identifier such as 'mit', 'cc-by-4.0' or 'other'; found {license!r}.")
    about = {"description": " ".join(description.split()), "license": license}
    self.record = replace(self.record, about={**self.record.about, **about})
    with TemporaryDirectory() as parent, reachable(f"write to {repo_id}"):
        folder = Path(parent) / "model"
        self.save(folder)
        (folder / CARD).write_text(model_card(model_info(folder), repo_id), encoding="utf-8")
        api = hub.HfApi(token=token)
        api.create_repo(repo_id, private=private, exist_ok=True)
        check_names(api.list_repo_files(repo_id), repo_id)
        commit = api.create_commit(
            repo_id,
            [hub.CommitOperationAdd(name, folder / name) for name in (*FILES, CARD)],
            commit_message=f"{type(self).__name__} of scmoe",
        ).oid
    logger.info("written to %s at commit %s", repo_id, commit)
    return str(commit)


@classmethod  # type: ignore[misc]
@checks_arguments
def from_hub(
    cls: type[M],
    repo_id: str,
    *,
    revision: str | None = None,
    adata: MuData | AnnData | None = None,
    cache_dir: str | Path | None = None,
    token: str | None = None,
) -> M:
    """Read a model that `push_to_hub` wrote to a repository of the Hugging Face hub.

    Only the two files of a model are read, and their checksums compared; no code is run, and a repository that holds
    any is refused. The files are kept in the hub's cache, and read from there without a network.

    Parameters
    ----------
    repo_id
        ``"organization/name"``.
    revision
        Commit, tag or branch; None: the newest. The log and ``model.about_["origin"]`` name the commit: pass it to get
        the same model again.
    adata
        Data to attach, as for `load`.
    cache_dir
        Folder of the cache; None: that of ``huggingface_hub`` (``HF_HOME``).
    token
        Of the hub, for private repositories; None: that of ``hf auth login``.

    Returns
    -------
    SCMOE or XTRIMOGENE
        On the CPU.

    Raises
    ------
    ImportError
        ``huggingface_hub`` is not installed.
    ValueError
        There is no such repository or revision, it holds other files than a model's, or they are damaged.
    ConnectionError
        The hub cannot be reached, and the model is not in the cache.

    Examples
    --------
    >>> model = scmoe.model.SCMOE.from_hub("org/name", revision="5f1c2e…")  # doctest: +SKIP
    """
    folder, commit = fetch_model(repo_id, revision=revision, cache_dir=cache_dir, token=token)
    model: M = cls.load(folder, adata)
    model.record = replace(model.record, about={**model.record.about, "origin": f"{repo_id}@{commit}"})
    return model


def fetch_model(
    repo_id: str,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | None = None,
) -> Snapshot:
    """The folder of a model of the hub, downloaded or from the cache; see `from_hub` for errors.

    The first file says which commit a branch means; everything else is asked of that commit.
    """
    hub, repo_id = import_hub(), check_repository(repo_id)
    options = {"cache_dir": cache_dir, "token": token}
    with reachable(f"read {repo_id}" + (f" at {revision}" if revision else "")):
        settings = Path(hub.hf_hub_download(repo_id, SETTINGS, revision=revision, **options))
        folder, commit = settings.parent, settings.parent.name
        weights = hub.try_to_load_from_cache(repo_id, WEIGHTS, revision=commit, cache_dir=cache_dir)
        if not isinstance(weights, str):
            check_names(hub.HfApi(token=token).list_repo_files(repo_id, revision=commit), f"{repo_id} at {commit}")
            hub.hf_hub_download(repo_id, WEIGHTS, revision=commit, **options)
    check_names((path.relative_to(folder).as_posix() for path in folder.rglob("*")), str(folder))
    logger.info("%s at commit %s (revision=%r gets the same again), in %s", repo_id, commit, commit, folder)
    return Snapshot(folder, commit)


def import_hub() -> ModuleType:
    """The library of the hub, or an ImportError that says what to install."""
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise ImportError(
            "Models of the hub need huggingface_hub: python -m pip install 'scmoe[hub]'. Folders of models and the "
            'model that comes with scmoe, scmoe.datasets.reference("bmmc_cite"), do not.'
        ) from error
    return huggingface_hub


def check_repository(repo_id: str) -> str:
    """The name of a repository, or a ValueError."""
    if not REPOSITORY.fullmatch(repo_id) or ".." in repo_id:
        raise ValueError(
            f"repo_id must be the name of a repository of the hub, 'organization/name'; found {repo_id!r}."
        )
    return repo_id


@contextmanager
def reachable(purpose: str) -> Iterator[None]:
    """Errors of the hub's library, of which there are many kinds, as sentences that say what to do."""
    from huggingface_hub import errors

    # What its HTTP library, which has changed, raises; its own errors are made of it.
    transport = (*errors.HfHubHTTPError.__bases__[:1], errors.FileMetadataError, ConnectionError, TimeoutError)
    try:
        yield
    except errors.GatedRepoError as error:
        raise ValueError(f"Cannot {purpose}: its owner must grant access first, on its page of the hub.") from error
    except errors.RepositoryNotFoundError as error:
        raise ValueError(
            f"Cannot {purpose}: the hub has no such repository, or you may not see it. Check the name; for a private "
            "one, run 'hf auth login' or pass token=."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ValueError(
            f"Cannot {purpose}: there is no such commit, tag or branch. Leave revision out for the newest."
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise ConnectionError(
            f"Cannot {purpose}: the hub cannot be reached, and the model is not in the cache. {OFFLINE}"
        ) from error
    except errors.EntryNotFoundError as error:
        raise ValueError(f"Cannot {purpose}: it lacks {SETTINGS} or {WEIGHTS}, so it is no model of scmoe.") from error
    except errors.HfHubHTTPError as error:
        code = getattr(error.response, "status_code", None)
        denied = code in (401, 403)
        remedy = "Run 'hf auth login' with a token that may do this, or pass token=." if denied else OFFLINE
        raise ConnectionError(f"Cannot {purpose}: the hub answered with {code}. {remedy}") from error
    except transport as error:
        raise ConnectionError(
            f"Cannot {purpose}: {type(error).__name__}, the hub cannot be reached. {OFFLINE}"
        ) from error
