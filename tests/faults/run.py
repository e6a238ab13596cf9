"""Count what comes of the battery: ``python tests/faults/run.py [--source SRC] [--families a,b]``.

``--source`` is the ``src`` folder of another version. Names that it does not have are counted as skipped.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path


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


def report(outcomes, listed) -> None:
    from battery.judge import VERDICTS

    counts: Counter[tuple[str, str]] = Counter()
    start = time.perf_counter()
    for case, outcome in outcomes:
        counts[case.family, outcome.verdict] += 1
        if outcome.verdict in listed:
            print(f"{outcome.verdict:7} {case.family}: {case.name}\n        {outcome.text[:400]}", flush=True)
    columns = (*VERDICTS, "skipped")
    print(f"\n{'family':12}" + "".join(f"{verdict:>9}" for verdict in columns))
    for family in (*sorted({family for family, _ in counts}), None):
        row = [sum(n for (f, v), n in counts.items() if v == verdict and family in (f, None)) for verdict in columns]
        print(f"{family or 'all':12}" + "".join(f"{n:9}" for n in row))
    print(f"{sum(counts.values())} cases in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
