"""An AnnData where a MuData is expected: the modality of a MuData that shares it.

All code below the verbs knows only MuData. So a verb that is given an AnnData gets one with a single modality, the
AnnData itself, and what it wrote to the MuData is written back. Modalities that `scmoe.pp.niche` added are matrices in
``obsm`` of an AnnData.
"""

import functools
import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import pandas as pd
from anndata import AnnData
from mudata import MuData

from scmoe._check import check_tables
from scmoe._keys import MADE_BY_NICHE, PREPARE, UNS_ROOT, copied_column
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._categories import category_names
from scmoe.datasets._feature_types import modality_name, split
from scmoe.io._mapped import copy_of
from scmoe.io._quiet import quiet_mudata

P = ParamSpec("P")
R = TypeVar("R")
FEATURE_TYPES_COLUMN = "feature_types"
DEFAULT_MODALITY = "rna"
"""What an AnnData is taken for that does not say the type of its features."""

_WRAPPERS: "weakref.WeakValueDictionary[int, MuData]" = weakref.WeakValueDictionary()
"""By the id of the AnnData, which its MuData keeps alive: a model finds the data that it was trained on again."""


@checks_arguments
def from_anndata(adata: AnnData, *, modality: str = DEFAULT_MODALITY) -> MuData:
    """Make a MuData of an AnnData, with one modality for each type of feature.

    Parameters
    ----------
    adata
        Cells x features. Features of several types (``var["feature_types"]``, as 10x Genomics writes genes and
        antibodies) are split: gene expression becomes ``rna``, antibody capture ``adt``, peaks ``atac``; others keep
        their name.
    modality
        Name of the modality when the AnnData does not say the type of its features.

    Returns
    -------
    MuData
        With the columns of ``obs`` in ``mdata.obs``. A modality of all features is `adata` itself, not a copy.

    Raises
    ------
    TypeError
        `adata` is no AnnData.

    Examples
    --------
    >>> import scmoe
    >>> rna = scmoe.datasets.bmmc_cite()["rna"]
    >>> scmoe.datasets.from_anndata(rna).n_mod
    1
    """
    if not isinstance(adata, AnnData):
        raise TypeError(f"Expected an AnnData, found {type(adata).__name__}. scmoe.datasets.read(path) reads files.")
    with quiet_mudata():
        return split(adata, modality)


def to_anndata(mdata: MuData, modality: str | None = None) -> AnnData:
    """A modality of a MuData as an AnnData of its own, with what the MuData says of its cells; the values are shared.

    A column that the modality has with other entries is kept as mudata calls it, such as ``"rna:batch"``.

    Parameters
    ----------
    mdata
        Nothing is written to it.
    modality
        None: the only one.
    """
    (name,) = mdata.mod if modality is None else (modality,)
    own = mdata.mod[name]
    adata = shared(own)
    for key in mdata.obs:
        if str(key).startswith(f"{name}:"):  # mudata's copy of a column of the modality
            continue
        column = mdata.obs[key].loc[own.obs_names]
        if own.n_obs < mdata.n_obs and isinstance(column.dtype, pd.CategoricalDtype):
            column = column.cat.remove_unused_categories()  # of which scanpy's tests fail
        if key in own.obs and not category_names(own.obs[key]).equals(category_names(column)):
            adata.obs[copied_column(name, key)] = own.obs[key]
        adata.obs[key] = column
    rows = mdata.obs_names.get_indexer(own.obs_names)
    for key, value in _own_obsm(mdata).items():
        adata.obsm[key] = value.iloc[rows] if isinstance(value, pd.DataFrame) else value[rows]
    for key, value in mdata.uns.items():
        adata.uns[key] = value
    return adata


def shared(adata: AnnData) -> AnnData:
    """Another AnnData over the same matrices, with tables of its own."""
    raw = adata.raw
    return AnnData(
        adata.X,
        obs=adata.obs.copy(),
        var=adata.var.copy(),
        uns=dict(adata.uns),
        # anndata 0.13 keeps X among the layers, under the key None.
        layers={key: value for key, value in adata.layers.items() if key is not None},
        raw=None if raw is None else {"X": raw.X, "var": raw.var, "varm": dict(raw.varm)},
        **{part: dict(getattr(adata, part)) for part in ("obsm", "varm", "obsp", "varp")},
    )


def as_mudata(data: Any, model: Any = None) -> Any:
    """`data` itself, or for an AnnData the MuData that shares it; nothing is written.

    Parameters
    ----------
    data
        Anything.
    model
        The model that is to read it, whose modalities have names.
    """
    if not isinstance(data, AnnData):
        return data
    check_tables(data)
    name = modality_of(data, model)
    mods = {name: data, **_niches(data, name)}
    wrapper = _WRAPPERS.get(id(data))
    with quiet_mudata():
        if wrapper is None or not _is_current(wrapper, mods):
            wrapper = _WRAPPERS[id(data)] = MuData(mods)
        _carry_over(data, wrapper)
    return wrapper


def is_wrapper(data: Any) -> bool:
    """Whether a MuData was made by `as_mudata`."""
    return isinstance(data, MuData) and any(_WRAPPERS.get(id(adata)) is data for adata in data.mod.values())


@contextmanager
def writable(data: Any, model: Any = None) -> Iterator[Any]:
    """As `as_mudata`; at the end, what was written to the MuData is written to the AnnData."""
    mdata = as_mudata(data, model)
    if mdata is data:
        yield data
        return
    if data.is_view:
        raise ValueError("adata is a view of another AnnData. Call adata = adata.copy() first.")
    before = _contents(mdata, data)
    with _errors_noted(mdata):
        yield mdata
    _write_back(mdata, before, data)


def takes_anndata(verb: Callable[Concatenate[MuData, P], R]) -> Callable[Concatenate[MuData | AnnData, P], R]:
    """Let a verb that writes to a MuData, its first argument, take an AnnData as well.

    With the argument ``copy=True``, which some verbs have, the changed copy is an AnnData too.
    """

    def call(adata: AnnData, *args: Any, **kwargs: Any) -> Any:
        copy = kwargs.pop("copy", False)
        adata = copy_of(adata) if copy else adata
        with writable(adata, _model_of(args, kwargs)) as mdata:
            result = verb(mdata, *args, **kwargs)
        return adata if copy else result

    return _dispatched(verb, call)


def reads_anndata(verb: Callable[Concatenate[MuData, P], R]) -> Callable[Concatenate[MuData | AnnData, P], R]:
    """Let a verb that reads a MuData, its first argument, take an AnnData as well."""

    def call(adata: AnnData, *args: Any, **kwargs: Any) -> Any:
        mdata = as_mudata(adata, _model_of(args, kwargs))
        with _errors_noted(mdata):
            return verb(mdata, *args, **kwargs)

    return _dispatched(verb, call)


@contextmanager
def _errors_noted(mdata: MuData) -> Iterator[None]:
    """Say below an error that speaks of a MuData what that is."""
    try:
        yield
    except Exception as error:
        if "mdata" in str(error) or "MuData" in str(error):
            name = next(iter(mdata.mod))
            error.add_note(
                f"mdata[{name!r}] is the AnnData that you passed. mdata, around it, has its obs, obsm and uns; "
                "mdata.update() is not needed."
            )
        raise


def _dispatched(verb: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
    """`call` for an AnnData and `verb` for all else, with the signature of the verb."""
    signature = inspect.signature(verb)
    first, *others = signature.parameters.values()

    @functools.wraps(verb)
    def dispatch(*args: Any, **kwargs: Any) -> Any:
        data, rest = (args[0], args[1:]) if args else (kwargs.get(first.name), ())
        if not isinstance(data, AnnData):
            if (args or first.name in kwargs) and not isinstance(data, MuData):
                raise TypeError(
                    f"Expected a MuData or AnnData, found {type(data).__name__}. Read one with "
                    "scmoe.datasets.read(path)."
                )
            return verb(*args, **kwargs)
        return call(data, *rest, **{name: value for name, value in kwargs.items() if name != first.name})

    # Which documentation and editors show.
    either = first.replace(annotation=MuData | AnnData)
    dispatch.__signature__ = signature.replace(parameters=[either, *others])  # type: ignore[attr-defined]
    return dispatch


def _model_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The model among the arguments of a verb, or the first of several: what has a setup."""
    for value in (*args, *kwargs.values()):
        for entry in value.values() if isinstance(value, Mapping) else [value]:
            if hasattr(entry, "setup") and hasattr(entry, "modalities"):
                return entry
    return None


def modality_of(adata: AnnData, model: Any = None) -> str:
    """What an AnnData is called as a modality.

    The modality of a model that has one; else as `scmoe.pp.prepare` called it, by the type of its features, by the
    features that a model knows, or ``"rna"``.
    """
    known = [] if model is None else list(model.modalities)
    if len(known) == 1:
        return str(known[0])
    for name in (_prepared_name(adata), _named_by_type(adata)):
        if name is not None and (not known or name in known):
            return name
    if not known:
        return DEFAULT_MODALITY
    shared_features = [int(adata.var_names.isin(model.feature_names[name]).sum()) for name in known]
    best = max(shared_features)
    if best == 0 or shared_features.count(best) > 1:
        raise ValueError(
            f"The AnnData could be any of the model's modalities: it has {', '.join(map(str, shared_features))} of the "
            f"features of {', '.join(known)}. Say which it is: mudata.MuData({{{known[0]!r}: adata}})."
        )
    return str(known[shared_features.index(best)])


def _records(adata: AnnData) -> dict[str, bool]:
    """Modalities that the AnnData was prepared with, and whether `scmoe.pp.niche` made them."""
    root = adata.uns.get(UNS_ROOT)
    records = root.get(PREPARE) if isinstance(root, Mapping) else None
    if not isinstance(records, Mapping):
        return {}
    reasons = {
        name: str(record.get("reason", "")) if isinstance(record, Mapping) else "" for name, record in records.items()
    }
    return {str(name): reason.startswith(MADE_BY_NICHE) for name, reason in reasons.items()}


def _prepared_name(adata: AnnData) -> str | None:
    names = [name for name, is_niche in _records(adata).items() if not is_niche]
    return names[0] if len(names) == 1 else None


def _named_by_type(adata: AnnData) -> str | None:
    """The modality of the type of the features; an error if there are several."""
    if FEATURE_TYPES_COLUMN not in adata.var:
        return None
    types = adata.var[FEATURE_TYPES_COLUMN].dropna().astype(str)
    names = {modality_name(text) for text in types.unique()}
    if len(names) > 1:
        sizes = ", ".join(f"{n} {text}" for text, n in types.value_counts().items())
        raise ValueError(
            f"The AnnData holds features of several types ({sizes}), which are modalities of their own. Split it: "
            "mdata = scmoe.datasets.from_anndata(adata)."
        )
    return next(iter(names), None)


def _niches(adata: AnnData, modality: str) -> dict[str, AnnData]:
    """Modalities that `scmoe.pp.niche` made of this AnnData: matrices in ``obsm``, of its features."""
    mods = {}
    for name in (name for name, is_niche in _records(adata).items() if is_niche and name in adata.obsm):
        if adata.obsm[name].shape[1] != adata.n_vars:
            raise ValueError(
                f"adata.obsm[{name!r}] is of {adata.obsm[name].shape[1]} features, and adata has {adata.n_vars} now. "
                f"Remove it and make it anew: del adata.obsm[{name!r}]; scmoe.pp.niche(adata)."
            )
        obs, var = pd.DataFrame(index=adata.obs_names), pd.DataFrame(index=adata.var_names)
        mods[name] = AnnData(adata.obsm[name], obs=obs, var=var)
    return mods


def _is_current(wrapper: MuData, mods: Mapping[str, AnnData]) -> bool:
    """Whether a MuData made earlier still has the cells, features and matrices of these modalities."""
    return (
        list(wrapper.mod) == list(mods)
        and wrapper.obs_names.equals(next(iter(mods.values())).obs_names)
        and list(wrapper.var_names) == [feature for adata in mods.values() for feature in adata.var_names]
        and all(wrapper.mod[name] is adata or wrapper.mod[name].X is adata.X for name, adata in mods.items())
    )


def _own_obsm(mdata: MuData) -> dict[str, Any]:
    """``mdata.obsm`` without the masks of the modalities, which mudata keeps there."""
    return {key: value for key, value in mdata.obsm.items() if key not in mdata.mod}


def _carry_over(adata: AnnData, mdata: MuData) -> None:
    """What the AnnData says of its cells, as the MuData's."""
    mdata.obs = adata.obs.copy()
    for key in _own_obsm(mdata):
        del mdata.obsm[key]
    for key, value in adata.obsm.items():
        if key not in mdata.mod:
            mdata.obsm[key] = value
    mdata.uns = dict(adata.uns)


class _Contents(NamedTuple):
    """What there is before a verb writes."""

    modalities: list[str]
    obs: pd.DataFrame
    obsm: dict[str, Any]
    uns: dict[str, Any]
    adata_obsm: dict[str, Any]


def _contents(mdata: MuData, adata: AnnData) -> _Contents:
    return _Contents(list(mdata.mod), mdata.obs.copy(), _own_obsm(mdata), dict(mdata.uns), dict(adata.obsm))


def _write_back(mdata: MuData, before: _Contents, adata: AnnData) -> None:
    """What changed in the MuData, as the AnnData's; what a verb wrote to the modality itself stands."""
    for key in set(before.obs) - set(mdata.obs):
        if key in adata.obs and adata.obs[key].equals(before.obs[key]):
            del adata.obs[key]
    for key in mdata.obs:
        is_old = key in before.obs and mdata.obs[key].equals(before.obs[key])
        if not is_old and _is_same(adata.obs, before.obs, key):
            adata.obs[key] = mdata.obs[key]
    obsm = _own_obsm(mdata)
    for key in before.obsm.keys() - obsm.keys():
        if adata.obsm.get(key) is before.adata_obsm[key]:
            del adata.obsm[key]
    for key, value in obsm.items():
        if value is not before.obsm.get(key) and adata.obsm.get(key) is before.adata_obsm.get(key):
            adata.obsm[key] = value
    for key in before.uns.keys() - mdata.uns.keys():
        adata.uns.pop(key, None)
    for key, value in mdata.uns.items():
        if value is not before.uns.get(key):
            adata.uns[key] = value
    for name in set(mdata.mod) - set(before.modalities):
        adata.obsm[name] = mdata.mod[name].X


def _is_same(table: pd.DataFrame, before: pd.DataFrame, key: Any) -> bool:
    """Whether a column is what it was, or is absent as it was."""
    if key not in table or key not in before:
        return key not in table and key not in before
    return bool(table[key].equals(before[key]))
