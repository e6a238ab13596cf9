"""Why the genes of a data set do not fit a vocabulary, in words."""

from collections.abc import Collection

from scmoe.tokens._names import ensembl_species


def mismatch_reason(
    names: Collection[str], vocabulary: Collection[str], unmatched: Collection[str], differ_in_case: Collection[str]
) -> str:
    """Tell from names why genes are missing from a vocabulary, and what to do.

    Parameters
    ----------
    names, vocabulary
        The names of the data's genes, and those of the vocabulary.
    unmatched, differ_in_case
        Names of the data that the vocabulary lacks, and those of them that it has in other upper and lower case.
    """
    here, there = ensembl_species(names), ensembl_species(vocabulary)
    if here and there and not here & there:
        return (
            f"These are Ensembl identifiers of different species (ENS{min(here)}G and ENS{min(there)}G). Use a "
            "vocabulary of the species of the data, or map genes to their orthologs first."
        )
    if 2 * len(differ_in_case) > len(unmatched):
        return (
            "Most differ only in upper and lower case, as symbols of human (ACTB) and mouse (Actb) do: the "
            "vocabulary seems to be of another species. Use one of the species of the data, or map genes to their "
            "orthologs first."
        )
    if bool(here) != bool(there):
        kinds = ("Ensembl identifiers", "symbols")[:: 1 if here else -1]
        return (
            f"The data seem to hold {kinds[0]}, and the vocabulary {kinds[1]}. Name the column of adata.var that holds "
            f"{kinds[1]} (column=), or give the vocabulary aliases."
        )
    return "Check that the names are genes; if so many are meant to be left out, pass a lower min_share."
