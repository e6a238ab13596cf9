"""Data that stay on disk: their matrices as CSR in a cache folder, in rows that can be read at random."""
