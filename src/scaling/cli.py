"""The console command `scaling`, also `python -m scaling`: every command of the package beneath one name."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from scaling._version import __version__

#: The module whose `main` each command runs, and what it does. Modules are imported when they are asked for.
COMMANDS = {
    "run": ("scaling.run", "run one grid point, or with -m a grid of them"),
    "report": ("scaling.report", "draw an experiment's curves and say what they tell"),
    "extrapolate": ("scaling.extrapolate", "extrapolate anyone's learning curves, CSV in and CSV out"),
    "features": ("scaling.features.__main__", "look after the feature store: ls, verify, prune"),
    "data": ("scaling.datasets.__main__", "find or download a data set and verify it"),
}
#: Commands whose overrides Hydra completes.
HYDRA = ("run", "report")


def usage() -> str:
    """Return what `scaling --help` prints."""
    rows = "\n".join(f"  {name:<13}{what}" for name, (_, what) in COMMANDS.items())
    return f"""usage: scaling COMMAND [ARGUMENT …]

{rows}

  scaling COMMAND --help   its arguments
  scaling --version        the version
  eval "$(scaling -sc install=bash)"   completion in this shell; also zsh and fish
"""


def complete(line: str) -> Sequence[str]:
    """Return the names that may follow a command line of which only the first word is finished.

    >>> complete("scaling re")
    ['report']
    """
    typed = line.split()[1:] or [""]
    return [name for name in COMMANDS if name.startswith(typed[0])]


def completing(line: str) -> str | None:
    """Return the command line that Hydra is to complete, or None where the command itself isn't typed yet.

    >>> completing("scaling run model=pix")
    'scaling model=pix'
    """
    program, *words = line.split()
    if not words or words[0] not in HYDRA or (len(words) == 1 and not line.endswith(" ")):
        return None
    return f"{program} {line.partition(words[0])[2].lstrip()}"


def main() -> None:
    """Run the command that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name == "-sc":
        line = os.environ.get("COMP_LINE", "scaling run ")
        name = line.split()[1] if (rest := completing(line)) is not None else "run"
        if rest is None:
            print(" ".join(complete(line)))
            return
        os.environ["COMP_LINE"] = rest
    elif name in COMMANDS:
        sys.argv[:2] = [f"scaling {name}"]
    elif name == "--version":
        print(f"scaling-curves {__version__}")
        return
    else:
        known = name in ("-h", "--help")
        print(usage() if known else f"error: scaling has no command {name!r}.\n{usage()}", end="",
              file=sys.stdout if known else sys.stderr)  # fmt: skip
        raise SystemExit(0 if known else 2)
    import_module(COMMANDS[name][0]).main()
