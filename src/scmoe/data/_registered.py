"""Data that scvi-tools knows of, without being kept in memory by it."""

import weakref
from typing import Any

from scvi.data import AnnDataManager

from scmoe.datasets._anndata import is_wrapper


class DataManager(AnnDataManager):
    """scvi-tools' manager, which a class keeps for good, with a weak reference to the data.

    Models keep their data themselves. The MuData around an AnnData is the exception: nobody else has it.
    """

    _own: Any = None
    _reference: Any = None

    @property
    def adata(self) -> Any:
        """The data, or None once nobody else has them."""
        return self._own if self._reference is None else self._reference()

    @adata.setter
    def adata(self, data: Any) -> None:
        is_own = data is None or is_wrapper(data)
        self._own, self._reference = (data, None) if is_own else (None, weakref.ref(data))
