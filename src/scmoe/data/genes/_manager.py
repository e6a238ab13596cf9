"""The description of an AnnData for the gene network, and its bridge to scvi-tools."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import rich.table
from anndata import AnnData
from scvi.data.fields import BaseAnnDataField

from scmoe._matrix import Matrix
from scmoe.data._registered import DataManager
from scmoe.data._scale import Scale, find_mismatch, scale_of
from scmoe.tokens._counts import Cells, Values, read_cells
from scmoe.tokens._vocabulary import MIN_SHARE, Vocabulary


@dataclass(frozen=True, kw_only=True)
class GeneSetup:
    """Where a model finds counts in an AnnData, and which genes it knows.

    Parameters
    ----------
    layer, values, column, min_share
        See `scmoe.model.XTRIMOGENE.setup_anndata`.
    names, aliases
        Of the `scmoe.tokens.Vocabulary`.
    scale
        How the training values were made, a `Scale` as a plain dict; empty in models of older versions.
    """

    layer: str | None = None
    values: Values = "counts"
    column: str | None = None
    min_share: float = MIN_SHARE
    names: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    scale: Mapping[str, Any] = field(default_factory=dict)

    @property
    def vocabulary(self) -> Vocabulary:
        """The genes."""
        return Vocabulary(self.names, self.aliases)

    def read(self, adata: AnnData) -> Cells:
        """The counts of training cells or of a query, arranged by the vocabulary."""
        return read_cells(
            adata,
            self.vocabulary,
            layer=self.layer,
            values=self.values,
            column=self.column,
            min_share=self.min_share,
        )

    def of(self, adata: AnnData) -> "GeneSetup":
        """With the scale of the training cells."""
        return replace(self, scale=asdict(scale_of(self._matrix(adata), None)))

    def check_scale(self, adata: AnnData) -> list[str]:
        """Raise if values cannot be on the scale of the training cells; lines of the log if they may not be."""
        mismatch = find_mismatch(Scale(**self.scale), self._matrix(adata), has_total=False) if self.scale else None
        if mismatch is None:
            return []
        text = f"adata.{'X' if self.layer is None else f'layers[{self.layer!r}]'} {mismatch.text}."
        if mismatch.is_impossible:
            raise ValueError(f"{text} Prepare the query as the training data were.")
        return [f"{text} Prepare the query as the training data were."]

    def _matrix(self, adata: AnnData) -> Matrix:
        return adata.X if self.layer is None else adata.layers[self.layer]

    def to_dict(self) -> dict[str, Any]:
        """Plain types that JSON can hold; `GeneSetup(**d)` is the way back."""
        return asdict(self) | {"names": list(self.names), "aliases": dict(self.aliases), "scale": dict(self.scale)}


def gene_setup_table(state: Mapping[str, Any]) -> rich.table.Table:
    """What is read from where; `state` is a `GeneSetup` as a plain dict."""
    table = rich.table.Table("layer", "values", "genes", title="scmoe setup")
    table.add_row(state["layer"] or "X", state["values"], str(len(state["names"])))
    return table


class GeneField(BaseAnnDataField):
    """One field, whose state is the `GeneSetup` as a plain dict; nothing is written to the data.

    Parameters
    ----------
    setup
        The description.
    """

    registry_key = "genes"
    attr_name = "X"
    attr_key = None
    is_empty = False

    def __init__(self, setup: GeneSetup) -> None:
        self.setup = setup

    def validate_field(self, adata: AnnData) -> None:
        """Raise if `adata` does not hold the counts."""
        self.setup.read(adata)

    def register_field(self, adata: AnnData) -> dict[str, Any]:
        """Describe `adata`, which was checked."""
        return self.setup.to_dict()

    def transfer_field(self, state_registry: dict[str, Any], adata: AnnData, **kwargs: Any) -> dict[str, Any]:
        """Check that `adata` fits an existing description, and keep that."""
        GeneSetup(**state_registry).read(adata)
        return dict(state_registry)

    def get_summary_stats(self, state_registry: dict[str, Any]) -> dict[str, int]:
        """Sizes."""
        return {"n_genes": len(state_registry["names"])}

    def get_data_registry(self) -> dict[str, Any]:
        """Nothing: the data are read by `GeneSetup.read`, not by key."""
        return {}

    def view_state_registry(self, state_registry: dict[str, Any]) -> rich.table.Table:
        """A table of what is read from where."""
        return gene_setup_table(state_registry)


class GeneManager(DataManager):
    """scvi-tools' manager for the gene network.

    Parameters
    ----------
    fields
        One `GeneField`.
    setup_method_args
        What scvi-tools records about the call of ``setup_anndata``.
    """

    @property
    def setup(self) -> GeneSetup:
        """The description of the registered data."""
        return GeneSetup(**self._registry["field_registries"][GeneField.registry_key]["state_registry"])
