#!/usr/bin/env bash
# Guess: `pytest -n 2 --dist loadgroup` runs the tests of one xdist_group in one process, as its documentation says, with
# any pytest that the plugin's own requirement (pytest>=7) admits; where it could not, it would say so.
# Seen: with pytest 9.2.0 pytest-xdist 3.8.0 takes no notice of groups and gives no warning: the tests of a group are
# dealt out over all processes, so that fixtures made once for a group are made in each process, and tests that must not
# meet do. It appends the group to `Item._nodeid`, which pytest 9.2.0 does not read any more (`nodeid` comes from
# `Item.id`); the test's name in the output lacks its `@group` too, the one sign of it.
# Versions: pytest 9.2.0 and 9.1.1, pytest-xdist 3.8.0, Python 3.10.
# Guard here: setup.cfg pins pytest 9.1.1, with which groups hold; tests/test_conftest.py fails if they do not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/uv"
"$folder/uv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
cat > "$folder/test_group.py" <<'PYTHON'
import os
import time

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_it(number):
    with open("processes", "a") as seen:
        print(os.environ["PYTEST_XDIST_WORKER"], file=seen)
    time.sleep(0.2)
PYTHON
cd "$folder"

# Prints in how many processes the eight tests of the group ran.
processes_with() {
    rm -rf venv processes
    uv/bin/uv venv --quiet --python "${PYTHON:-3.10}" venv
    uv/bin/uv pip install --quiet --python venv/bin/python "pytest==$1" pytest-xdist==3.8.0
    venv/bin/python -m pytest --quiet -p no:cacheprovider -n 2 --dist loadgroup test_group.py > log
    sort -u processes | wc -l
}

older=$(processes_with 9.1.1)
newer=$(processes_with 9.2.0)
echo "pytest-xdist 3.8.0, eight tests of one group: processes with pytest 9.1.1: $older, with pytest 9.2.0: $newer"
[ "$older" = 1 ] && [ "$newer" = 2 ]
