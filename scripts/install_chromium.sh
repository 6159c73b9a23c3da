#!/bin/sh
# Installs Debian's Chromium for the test that opens the search report, where that takes no one's permission: as root,
# with apt. Anywhere else the test says that it was skipped and why.
set -u
if command -v chromium >/dev/null || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    exit 0
fi
echo "test: installing Chromium for the test that opens the search report" >&2
log=$(mktemp)
if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends chromium; } \
    >"$log" 2>&1 </dev/null; then
    tail -n 5 "$log" >&2
    echo "test: Chromium could not be installed; the test that needs it will be skipped" >&2
fi
rm -f "$log"
