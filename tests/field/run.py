"""What the faults of people's files do to results: one table in Markdown, before and now.

``python tests/field/run.py`` computes all rows in some minutes, ``--rows A1,A3`` some of them. A row is one kind of
fault. Its lines stand beside what commit f6ec5a7 gave ("before") and what is right: the same score on the same data
without the fault, computed in the same run, or a behavior in words. An input that fails shows its error.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator

import measures
import outcomes
from lines import Line, first_line, log_lines

HEADER = ("row", "input", "measure", "before", "today", "right", "bar", "met")
MET = {True: "yes", False: "**no**", None: ""}
ROWS = dict(sorted({**measures.ROWS, **outcomes.ROWS}.items(), key=lambda row: int(row[0][1:])))


def lines_of(fault: Callable[[], Iterator[Line]]) -> Iterator[Line]:
    """The lines of an input, and as the last one the error that ends them."""
    try:
        with log_lines():
            yield from fault()
    except Exception as error:  # noqa: BLE001 - a row that fails is a result, not a crash
        yield Line("error", "", first_line(error), "no error", "", False)


def table_row(cells: tuple[str, ...]) -> str:
    """One line of Markdown."""
    return f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in cells)} |"


def main(names: list[str]) -> None:
    """Print the table, line by line as it is computed."""
    print(table_row(HEADER), table_row(("---",) * len(HEADER)), sep="\n")
    n_bars = n_met = 0
    for name in names:
        for fault in ROWS[name]:
            title = (fault.__doc__ or "").strip().splitlines()[0]
            for line in lines_of(fault):
                n_bars, n_met = n_bars + (line.met is not None), n_met + bool(line.met)
                print(table_row((name, title, *line[:-1], MET[line.met])), flush=True)
    print(f"\n{n_met} of {n_bars} bars are met.")


def row_names(text: str) -> list[str]:
    """Names of rows, separated by commas."""
    names = text.split(",")
    if unknown := set(names) - set(ROWS):
        raise argparse.ArgumentTypeError(f"no row {', '.join(sorted(unknown))}; rows are {', '.join(ROWS)}")
    return names


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=row_names, default=list(ROWS), help="such as A1,A3; default: all")
    warnings.simplefilter("ignore")  # of other libraries; those of scmoe are lines of its log
    main(parser.parse_args(sys.argv[1:]).rows)
