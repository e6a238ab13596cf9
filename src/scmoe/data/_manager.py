"""The bridge to scvi-tools: its registry holds our `Setup`, its data set is our `MosaicDataset`."""

from collections.abc import Mapping, Sequence
from typing import Any

import rich.table
from mudata import MuData
from scvi.data import AnnDataManagerValidationCheck
from scvi.data.fields import BaseAnnDataField
from torch.utils.data import Subset

from scmoe.data._dataset import MosaicDataset
from scmoe.data._registered import DataManager
from scmoe.data._setup import Setup


def setup_table(state: Mapping[str, Any]) -> rich.table.Table:
    """What each modality is read from; `state` is a `Setup` as a plain dict."""
    table = rich.table.Table("modality", "layer", "likelihood", "features", title="scmoe setup")
    for name in state["modalities"]:
        layer, likelihood = state["layers"][name] or "X", state["likelihoods"][name]
        table.add_row(name, layer, likelihood, str(len(state["feature_names"][name])))
    return table


class SetupField(BaseAnnDataField):
    """One field for all modalities, batch and labels; its state is the `Setup` as a plain dict.

    Nothing is written to the MuData's ``obs`` or ``mod``: codes are computed when a data set is made.

    Parameters
    ----------
    arguments
        Arguments of `Setup.from_mudata`.
    """

    registry_key = "mosaic"
    attr_name = "mod"
    attr_key = None
    is_empty = False

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.arguments = arguments

    def validate_field(self, mdata: MuData) -> None:
        """Nothing: `register_field`, which scvi-tools calls right after, checks while it describes."""

    def register_field(self, mdata: MuData) -> dict[str, Any]:
        """Check `mdata` and describe it."""
        return Setup.from_mudata(mdata, **self.arguments).to_dict()

    def transfer_field(self, state_registry: dict[str, Any], mdata: MuData, **kwargs: Any) -> dict[str, Any]:
        """Check that `mdata` fits an existing description, and keep that."""
        MosaicDataset(mdata, Setup(**state_registry))
        return dict(state_registry)

    def get_summary_stats(self, state_registry: dict[str, Any]) -> dict[str, int]:
        """Sizes."""
        features = {f"n_{name}_features": len(names) for name, names in state_registry["feature_names"].items()}
        return {**features, "n_batch": len(state_registry["batches"]), "n_labels": len(state_registry["labels"])}

    def get_data_registry(self) -> dict[str, Any]:
        """Nothing: the data are read by `MosaicDataset`, not by key."""
        return {}

    def view_state_registry(self, state_registry: dict[str, Any]) -> rich.table.Table:
        """A table of what each modality is read from."""
        return setup_table(state_registry)


class MosaicManager(DataManager):
    """scvi-tools' manager for a MuData whose cells may lack modalities.

    Parameters
    ----------
    arguments
        Arguments of `Setup.from_mudata`.
    setup_method_args
        What scvi-tools records about the call of ``setup_mudata``.
    """

    def __init__(self, fields: list[SetupField], setup_method_args: dict[str, Any], **_: Any) -> None:
        super().__init__(fields, setup_method_args, AnnDataManagerValidationCheck(check_fully_paired_mudata=False))

    @property
    def setup(self) -> Setup:
        """The description of the registered data."""
        registries = self._registry["field_registries"]
        return Setup(**registries[SetupField.registry_key]["state_registry"])

    def create_torch_dataset(self, indices: Sequence[int] | None = None, **_: Any) -> MosaicDataset | Subset:
        """The registered data as mini-batches."""
        dataset = MosaicDataset(self.adata, self.setup)
        return dataset if indices is None else Subset(dataset, list(indices))
