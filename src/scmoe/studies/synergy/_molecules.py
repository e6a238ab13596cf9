"""Drugs as fingerprints and as graphs of atoms; needs RDKit, which the extra `synergy` installs."""

import importlib.util
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

RADIUS, N_BITS = 2, 1024
"""Of Morgan fingerprints."""
ELEMENTS = ("B", "Br", "C", "Cl", "F", "I", "N", "Na", "O", "P", "Pt", "S", "Si")
"""Elements that atoms are told apart by; all others count as one."""
MAX_BONDS, MAX_HYDROGENS, MAX_VALENCE = 6, 4, 6


class Molecules(NamedTuple):
    """Graphs of atoms, all of the size of the largest one."""

    atoms: NDArray[np.float32]
    """(drugs, atoms, features): element, number of bonds, hydrogens and valence, each one-hot, and aromaticity."""
    bonds: NDArray[np.float32]
    """(drugs, atoms, atoms): bonds and each atom itself, divided by the roots of both atoms' numbers of these."""
    mask: NDArray[np.bool_]
    """(drugs, atoms): which atoms there are."""


def check_rdkit() -> None:
    """Raise an ImportError if RDKit is not installed."""
    if importlib.util.find_spec("rdkit") is None:
        raise ImportError("This study reads structures of drugs with RDKit: pip install 'scmoe[synergy]'.")


def canonical_smiles(smiles: Iterable[str]) -> dict[str, str | None]:
    """The same text for all ways to write a molecule, by what was given; None where it does not parse or is empty."""
    from rdkit.Chem import MolFromSmiles, MolToSmiles
    from rdkit.rdBase import BlockLogs

    with BlockLogs():  # the study names what does not parse
        molecules = {text: MolFromSmiles(text) for text in smiles}
    return {text: MolToSmiles(m) if m is not None and m.GetNumAtoms() else None for text, m in molecules.items()}


def fingerprints(smiles: Sequence[str]) -> NDArray[np.float32]:
    """(drugs, bits): the Morgan bits in which the drugs differ; bits that agree in all drugs are one."""
    from rdkit.Chem import MolFromSmiles
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=RADIUS, fpSize=N_BITS)
    bits = np.array([generator.GetFingerprintAsNumPy(MolFromSmiles(text)) for text in smiles], np.float32)
    return np.unique(bits[:, bits.std(axis=0) > 0], axis=1)


def molecule_graphs(smiles: Sequence[str]) -> Molecules:
    """The graphs of drugs."""
    from rdkit.Chem import GetAdjacencyMatrix, MolFromSmiles

    molecules = [MolFromSmiles(text) for text in smiles]
    n, largest = len(molecules), max(molecule.GetNumAtoms() for molecule in molecules)
    features = [np.array([_atom_features(atom) for atom in molecule.GetAtoms()]) for molecule in molecules]
    graphs = Molecules(
        np.zeros((n, largest, features[0].shape[1]), np.float32),
        np.zeros((n, largest, largest), np.float32),
        np.zeros((n, largest), bool),
    )
    for i, molecule in enumerate(molecules):
        size = molecule.GetNumAtoms()
        linked = GetAdjacencyMatrix(molecule) + np.eye(size)
        root = np.sqrt(linked.sum(axis=1))
        graphs.atoms[i, :size], graphs.mask[i, :size] = features[i], True
        graphs.bonds[i, :size, :size] = linked / np.outer(root, root)
    return graphs


def _atom_features(atom: Any) -> NDArray[np.float32]:
    element = ELEMENTS.index(atom.GetSymbol()) if atom.GetSymbol() in ELEMENTS else len(ELEMENTS)
    numbers = (
        (element, len(ELEMENTS)),
        (atom.GetDegree(), MAX_BONDS),
        (atom.GetTotalNumHs(), MAX_HYDROGENS),
        (atom.GetTotalValence(), MAX_VALENCE),
    )
    one_hot = [np.eye(largest + 1, dtype=np.float32)[min(number, largest)] for number, largest in numbers]
    return np.concatenate([*one_hot, np.array([atom.GetIsAromatic()], np.float32)])
