"""Numbers by which a checkpoint knows the data of its training again."""

import zlib
from collections.abc import Sequence

import numpy as np
from scipy import sparse

CHUNK = 4096
"""Rows of a dense matrix at once, which need not lie together in memory."""
Part = np.ndarray | sparse.csr_matrix | Sequence[str] | None


def fingerprint(*parts: Part) -> int:
    """Checksum (CRC-32) of arrays, matrices and names, in this order."""
    found = 0
    for part in parts:
        if sparse.issparse(part):
            for array in (part.data, part.indices, part.indptr):  # type: ignore[union-attr]
                found = zlib.crc32(np.ascontiguousarray(array), found)
        elif isinstance(part, np.ndarray):
            for start in range(0, len(part), CHUNK):
                found = zlib.crc32(np.ascontiguousarray(part[start : start + CHUNK]), found)
        elif part is not None:
            found = zlib.crc32("\n".join(part).encode(), found)  # type: ignore[arg-type]
    return found
