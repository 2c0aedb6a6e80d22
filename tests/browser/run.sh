#!/bin/bash
# run.sh WORK_FOLDER BROWSER_RUNS ORRERY: makes two runs, draws them, and looks at the pages in a browser.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$1 runs=$2 orrery=$3
for program in node npm; do
  command -v $program >/dev/null || { echo "the browser tests need $program (on Debian: apt-get install nodejs npm)" >&2; exit 1; }
done
mkdir -p "$work"
cd "$work"
if ! cmp -s "$here/package-lock.json" node_modules/.fetched; then
  cp "$here"/{package.json,package-lock.json,.npmrc} .
  npm ci --ignore-scripts --no-audit --no-fund >npm.log 2>&1 || { cat npm.log >&2; exit 1; }
  cp "$here/package-lock.json" node_modules/.fetched
fi
rm -rf small large figures
"$runs" .
"$orrery" report small
"$orrery" report large
cp "$here"/*.mjs .
ORRERY=$orrery exec node --test report.test.mjs
