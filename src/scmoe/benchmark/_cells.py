"""Parts of the data that a method may see."""

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scmoe._keys import UNS_ROOT
from scmoe._matrix import dense
from scmoe.datasets._categories import label_names
from scmoe.io._quiet import quiet_mudata


def known_labels(mdata: MuData, key: str | None) -> pd.Series | None:
    """Labels as text; missing in cells that have none or "Unknown"."""
    if key is None:
        return None
    return label_names(mdata.obs[key])


def label_texts(labels: pd.Series) -> list[str]:
    """Labels as they enter the hash of a data set, "None" where a cell has none, whichever way pandas stores that."""
    return ["None" if missing else str(label) for label, missing in zip(labels, labels.isna(), strict=True)]


def subset(mdata: MuData, cells: pd.Index, modalities: list[str], *, obs: bool = True) -> MuData:
    """A copy of some cells and modalities, with or without what is known of the cells besides."""
    with quiet_mudata():
        parts = {}
        for name in modalities:
            adata = mdata.mod[name]
            parts[name] = adata[cells[cells.isin(adata.obs_names)]].copy()
        out = MuData(parts)
        out = out if out.obs_names.equals(cells) else out[cells[cells.isin(out.obs_names)]].copy()
    if UNS_ROOT in mdata.uns:  # how it was prepared
        out.uns[UNS_ROOT] = mdata.uns[UNS_ROOT]
    if obs:
        out.obs = mdata.obs.loc[out.obs_names].copy()
    return out


def aligned(mdata: MuData) -> MuData:
    """A copy whose modalities have their cells in the order of the data: other libraries pair rows by position."""
    return subset(mdata, mdata.obs_names, list(mdata.mod), obs=False)


def stack(first: MuData, second: MuData) -> MuData:
    """Values of the cells of both, one below the other, under the features of the first."""
    with quiet_mudata():
        parts = {}
        for name in first.mod:
            blocks = [part.mod[name] for part in (first, second) if name in part.mod]
            features = blocks[0].var_names
            values = np.concatenate([dense(block[:, features].X) for block in blocks])
            cells = pd.DataFrame(index=np.concatenate([block.obs_names for block in blocks]))
            parts[name] = AnnData(values, obs=cells, var=pd.DataFrame(index=features))
        out = MuData(parts)
    return subset(out, first.obs_names.append(second.obs_names), list(parts), obs=False)
