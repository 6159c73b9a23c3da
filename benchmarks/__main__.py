"""`python -m benchmarks [NAME …]`: runs the named benchmarks, or all, one after another, and writes a table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.run import DEADLINE_SECONDS, NAMES, TABLE, run_all

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Runs benchmarks and writes a table.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--table", type=Path, default=TABLE, help="where the table goes (default: %(default)s)")
    parser.add_argument(
        "--deadline", type=float, default=DEADLINE_SECONDS, help="seconds for each (default: %(default)s)"
    )
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(NAMES))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; the benchmarks are {', '.join(NAMES)}")
    sys.exit(run_all(arguments.names or list(NAMES), table=arguments.table, deadline=arguments.deadline))
