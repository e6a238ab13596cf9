"""One run of a comparison in its own process: ``python -m scmoe.benchmark._worker RUN.json RESULT.json``."""

import json
import logging
import sys
from pathlib import Path

from scmoe.benchmark._inputs import MAP, Run
from scmoe.benchmark._tasks import perform
from scmoe.datasets._read import read
from scmoe.pp._prepare import prepare


def main(run_path: str, result_path: str) -> None:
    """Read the run, perform it on one thread, write scores and cost."""
    logging.getLogger("scmoe").setLevel(logging.WARNING)
    run = Run(**json.loads(Path(run_path).read_text(encoding="utf-8")))
    mdata = read(run.data)
    if run.task != MAP:  # whose parts are prepared each on its own
        prepare(mdata, kinds=run.kinds)
    Path(result_path).write_text(json.dumps(perform(mdata, run)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
