"""Numbers by which a checkpoint knows the data of its training again."""

import zlib
from collections.abc import Sequence

import numpy as np

from scmoe._matrix import Matrix

CHUNK = 4096
"""Rows of a dense matrix at once, which need not lie together in memory."""


def fingerprint(*matrices: Matrix, names: Sequence[str] = ()) -> int:
    """Checksum (CRC-32) of arrays, CSR matrices and names, in this order."""
    checksum = zlib.crc32("\n".join(names).encode())
    for matrix in matrices:
        arrays = [matrix] if isinstance(matrix, np.ndarray) else [matrix.data, matrix.indices, matrix.indptr]
        for array in arrays:
            for start in range(0, len(array), CHUNK):
                checksum = zlib.crc32(np.ascontiguousarray(array[start : start + CHUNK]).data, checksum)
    return checksum
