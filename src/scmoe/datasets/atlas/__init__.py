"""An atlas: stores of zarr with more cells than a disk holds, of which some at a time are read."""
