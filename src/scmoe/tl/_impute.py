"""`impute`: write one modality as predicted from others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mudata import MuData

from scmoe._align import Indices
from scmoe._keys import DEFAULT_KEY, Keys
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.datasets._categories import Category
from scmoe.io._memory import check_memory
from scmoe.model._impute import REMEDY, feature_positions
from scmoe.tl._results import check_results, inputs_of
from scmoe.tl._tables import as_layer, storable_frame
from scmoe.tl._untested import warn_of_tests
from scmoe.tl._write import drop_arrays, write_frame, write_to_modality

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


@checks_arguments
@takes_anndata
def impute(
    mdata: MuData,
    model: "SCMOE",
    *,
    source: str | Sequence[str],
    target: str,
    features: Indices | None = None,
    transform_batch: Category | Sequence[Category] | None = None,
    sd: bool = False,
    interval: bool = False,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Predict a modality from others, with the target absent from the input.

    Tests of predicted values are not valid: these follow the sources. `scmoe.tl.markers` tests what was measured.

    Parameters
    ----------
    mdata
        Training data or a query.
    model
        A trained model.
    source
        The modality or modalities to look at.
    target
        The modality to predict.
    features
        Which of its features, and in which order: names, positions in the model's list, or a mask; None: all. Of very
        many cells and features memory holds a choice only.
    transform_batch
        Predict as if all cells were of this batch, or the mean over several; None: of their own.
    sd
        Whether to write standard deviations as well, one more array of the size of the predictions.
    interval
        Whether to write the ends of intervals as well, two more arrays.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.obsm["{key_added}_{target}_from_{source}"]``, a frame of all cells x features of the target (NaN
        for cells without source). If `mdata` has the target, and no features were chosen, also
        ``mdata.mod[target].layers``, under the same key: its cells x its features, NaN in features that the model does
        not know; the same array in memory where cells and features are the same. With `sd`, beside each and with
        ``_sd`` at the end of the key, the standard deviation of every predicted value; with `interval`, with ``_lower``
        and ``_upper``, the ends of its interval. What an earlier call wrote and this one does not is removed. Several
        sources are joined by ``+``; in the names of the columns ``/`` becomes ``_``. Units: see
        `scmoe.model.SCMOE.impute`.

    Raises
    ------
    KeyError
        A modality or feature that the model does not have.
    ValueError
        The target is among the sources, the data do not fit the model, or memory would not hold the result.

    Examples
    --------
    >>> scmoe.tl.impute(mdata, model, source="rna", target="adt", sd=True)
    >>> mdata["adt"].layers["scmoe_adt_from_rna_sd"].shape
    (600, 134)
    """
    names = [source] if isinstance(source, str) else list(source)
    keys = Keys(name=key_added)
    keys.check_imputed(target, names, {*model.modalities, *mdata.mod})
    every = (keys.imputed(target, names), keys.imputed_sd(target, names), *keys.imputed_bounds(target, names))
    paths = [f"{where}/{name}" for where in ("obsm", f"{target}/layers") for name in every]
    check_results(mdata, key_added, paths, inputs_of(model.setup, mdata))
    stored = [name for name, is_wanted in zip(every, (True, sd, interval, interval), strict=True) if is_wanted]
    with_layer = target in mdata.mod and features is None
    check_size(mdata, model, target, features, len(stored) * (1 + (with_layer and not is_same_cells(mdata, target))))
    options: dict[str, Any] = {"return_sd": sd, "return_interval": interval}
    arrays = model.impute(names, target, mdata, features=features, transform_batch=transform_batch, **options)
    results = {f"obsm/{name}" for name in stored} | {f"{target}/layers/{name}" for name in stored if with_layer}
    drop_arrays(mdata, key_added, [path for path in paths if path not in results])
    warn_of_tests()
    columns = [model.feature_names[target][i] for i in feature_positions(model.fitted, target, features)]
    for name, values in zip(stored, arrays if isinstance(arrays, tuple) else (arrays,), strict=True):
        if with_layer:
            write_to_modality(
                mdata, key_added, f"{target}/layers/{name}", as_layer(mdata, target, values, columns, model.setup)
            )
        write_frame(mdata, key_added, name, storable_frame(values, mdata, columns))


def check_size(mdata: MuData, model: "SCMOE", target: str, features: Indices | None, n_arrays: int) -> None:
    """Raise if free memory would not hold so many arrays of predictions."""
    if target in model.modalities:
        n_features = len(feature_positions(model.fitted, target, features))
        what = f"Predictions of {n_features} features of {mdata.n_obs} cells"
        check_memory(4 * n_arrays * mdata.n_obs * n_features, what, REMEDY)


def is_same_cells(mdata: MuData, modality: str) -> bool:
    """Whether a modality has all cells, in the order of the MuData, so that its layers need no copy."""
    return bool(mdata.mod[modality].obs_names.equals(mdata.obs_names))
