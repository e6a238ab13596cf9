"""mudata's settings, whichever version is installed."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import mudata

ANNOUNCEMENTS = (
    "The 'future.infer_string' option is deprecated",
    "zarr v3 autosharding will be the default",
    "Writing zarr v2 data will no longer be the default",
)
"""Beginnings of announcements that anndata makes in the name of its callers."""


@contextmanager
def quiet_mudata() -> Iterator[None]:
    """Use mudata as its current version behaves (nothing is pulled), without its announcements and without a trace.

    The same feature name in two modalities (CD4 as gene and as protein) is normal, so its warning is left out. So are
    notes of anndata, mudata and zarr about their own next versions, which nobody but this package can act on.
    """
    root, guard = logging.getLogger(), logging.NullHandler()
    # `mudata.set_options` logs on the root logger, which installs a handler for the whole program if there is none.
    root.addHandler(guard)
    try:
        with warnings.catch_warnings(), _nothing_pulled():
            for library in ("mudata", "anndata", "zarr"):
                for category in (UserWarning, FutureWarning, DeprecationWarning, PendingDeprecationWarning):
                    warnings.filterwarnings("ignore", category=category, module=rf"{library}\.")
            for message in ANNOUNCEMENTS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        root.removeHandler(guard)


def _nothing_pulled() -> AbstractContextManager:
    """Mudata 0.4 replaced the function `set_options` by an object `settings`."""
    if hasattr(mudata, "settings"):
        return mudata.settings.override(pull_on_update=False)
    return mudata.set_options(pull_on_update=False)
