"""Count what comes of the battery: ``python tests/faults/run.py [--source SRC] [--families a,b]``.

``--source`` is the ``src`` folder of another version. Names that it does not have are counted as skipped.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, help="src folder of the version to test; default the one beside")
    parser.add_argument("--families", default="", help="comma-separated; default all")
    parser.add_argument("--verdicts", default="barred,raw,silent,lost", help="of the cases to list")
    options = parser.parse_args()
    here = Path(__file__).resolve().parent
    sys.path[:0] = [str(here), str(options.source or here.parents[1] / "src")]
    from battery import gather

    logging.disable(logging.NOTSET)
    families = options.families.split(",") if options.families else None
    with tempfile.TemporaryDirectory() as folder:
        report(gather.outcomes(Path(folder), families), options.verdicts.split(","))


def report(outcomes: Iterator[tuple[Any, Any]], listed: list[str]) -> None:
    """Print the cases of some verdicts as they come, and how many there are of each."""
    from battery.judge import VERDICTS

    counts: Counter[tuple[str, str]] = Counter()
    seconds: Counter[str] = Counter()
    start = time.process_time()
    for case, outcome in outcomes:
        seconds[case.family] += time.process_time() - start
        start = time.process_time()
        counts[case.family, outcome.verdict] += 1
        if outcome.verdict in listed:
            print(f"{outcome.verdict:7} {case.family}: {case.name}\n        {outcome.text[:400]}", flush=True)
    print(f"\n{'family':12}" + "".join(f"{verdict:>9}" for verdict in (*VERDICTS, "cases", "CPU s")))
    for family in (*sorted(seconds), ""):
        row = [sum(n for (f, v), n in counts.items() if v == verdict and family in (f, "")) for verdict in VERDICTS]
        time_used = sum(n for f, n in seconds.items() if family in (f, ""))
        print(f"{family or 'all':12}" + "".join(f"{n:9}" for n in row) + f"{sum(row):9}{time_used:9.0f}")


if __name__ == "__main__":
    main()
