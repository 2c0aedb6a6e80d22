#!/bin/bash
# run.sh WORK_FOLDER BROWSER_RUNS ORRERY: makes and trains runs, draws them, and looks at the pages in a browser.
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
rm -rf small many large set figures trained compare
"$runs" .
for run in small many large; do "$orrery" report $run; done
"$orrery" sweep report set
# Short runs of the built-in tasks, with every built-in probe.
for config in "$here"/configs/*.toml; do
  name=$(basename "$config" .toml)
  "$orrery" train "$config" --out trained/$name >/dev/null 2>train.log || { cat train.log >&2; exit 1; }
  "$orrery" report trained/$name
done
"$orrery" train "$here/configs/addition.toml" --set seeds.init=7 --out trained/seed_7 >/dev/null 2>&1
"$orrery" train "$here/configs/addition.toml" --set seeds.init=8 --out trained/seed_8 >/dev/null 2>&1
mkdir compare
"$orrery" compare trained/addition trained/seed_7 trained/seed_8 --html compare/report.html >/dev/null
cp "$here"/*.mjs .
# One after the other: the first measures how long a page takes to open.
for tests in report panels sweep built_in; do ORRERY=$orrery node --test $tests.test.mjs; done
