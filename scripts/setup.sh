#!/bin/sh
# Finds any Python 3 that really runs (a pyenv shim may not) and hands over to scripts/bootstrap, which does the work.
set -eu
cd "$(dirname "$0")/.."
for candidate in python3 /usr/bin/python3 /usr/local/bin/python3 "${PYTHON:-}" python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null; then
        exec "$candidate" -m scripts.bootstrap "$@"
    fi
done
echo "setup: no Python 3.7 or later runs here. Install one (Debian: apt-get install python3) or name one: make PYTHON=/path/to/python3" >&2
exit 1
