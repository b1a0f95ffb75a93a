"""One held-out part against five folds, on the quickstart's features: `python -m benchmarks.rules --sizes 30000 60000`.

Run it where the quickstart was run, so that features are read from `.features`. Both rules choose a penalty and fit it;
what is compared is the log-loss of the test set, which neither saw.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from benchmarks.timing import row
from scaling.adapt import linear_probe
from scaling.runs.job import Job, evaluate_job
from scaling.runs.spec import composed

#: From which n one part is held out, by the rule's name.
RULES = {"five folds": sys.maxsize, "one part": 0}


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[30_000, 60_000])
    row("n", "rule", "penalty", "seconds", "test log-loss", "test accuracy")
    row(*["---"] * 6)
    for n in parser.parse_args(arguments).sizes:
        for rule, linear_probe.LARGE in RULES.items():
            job = Job(composed(["experiment=quickstart", f"n={n}"]))
            started = time.perf_counter()
            found = evaluate_job(job)
            seconds, test = time.perf_counter() - started, found.score.test
            penalty = found.outcome.params["chosen.penalty"]
            row(str(n), rule, f"{penalty:g}", f"{seconds:.1f}", f"{test['nll']:.4f}", f"{test['accuracy']:.4f}")


if __name__ == "__main__":
    main(sys.argv[1:])
