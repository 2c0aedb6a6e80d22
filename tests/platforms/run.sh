#!/bin/bash
# Tries the last commit in a bare Debian, as on a newcomer's machine, and prints a table of what it took.
# usage, as root: tests/platforms/run.sh [--suite bookworm|trixie] [--training-steps N] STEP...
#   first   ./orrery train configs/quickstart.toml, from a clone; N steps at most (default: until it groks)
#   plugin  after first: a task written, built and trained out of the tree, against what cmake --install installs
#   python  after first: the block of the README's "In a notebook", with that run
#   deb     after first: the Debian package in another bare system: it trains, and a task is built with it
#   test    ./orrery test
# Without --suite: bookworm, then trixie. Works below build/platforms (or $ORRERY_PLATFORMS), and needs gigabytes there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source_tree=$(cd "$here/../.." && pwd)
source "$here/bare_system.sh"

suites=() steps=8000
while :; do
  case "${1:-}" in
    --suite) suites+=("$2"); shift 2 ;;
    --training-steps) steps=$2; shift 2 ;;
    *) break ;;
  esac
done
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)
[ $# -gt 0 ] || { sed -n '3,10s/^# \{0,1\}//p' "$0"; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "only root can make a bare system" >&2; exit 2; }

step_first() {
  make_bare "$suite" clone
  git clone -q "$source_tree" "$platforms/$suite.clone/home/orrery"
  enter "$suite" clone ./orrery train configs/quickstart.toml --set train.steps="$steps" --out /srv/run
}

step_test() {
  [ -d "$platforms/$suite.clone/home/orrery" ] || { make_bare "$suite" clone && git clone -q "$source_tree" "$platforms/$suite.clone/home/orrery"; }
  enter "$suite" clone ./orrery test
}

# A task out of the tree: written by `$1 new`, built against the package at prefix $2, trained.
try_plugin='
  set -e
  rm -rf /srv/mine && mkdir /srv/mine && cd /srv/mine
  "$1" new task my_task --out .
  cmake -S my_task -B my_task/build -G Ninja -DCMAKE_PREFIX_PATH="$2" -DCMAKE_BUILD_TYPE=Release -DORRERY_BUILD_TESTS=OFF
  cmake --build my_task/build
  "$1" train my_task/my_task.toml --plugin my_task/build/plugins/task_my_task.so --out run --set train.steps=100'

step_plugin() {
  enter "$suite" clone bash -c './orrery build && cmake --install build/release --prefix /srv/prefix >/dev/null'
  enter "$suite" clone bash -c "$try_plugin" _ /srv/prefix/bin/orrery /srv/prefix
}

step_python() {
  enter "$suite" clone bash -c '
    sed -n "/^## In a notebook/,/^## How/p" README.md | sed -n "/^.\{3\}py$/,/^.\{3\}$/p" | sed "1d;\$d" |
      sed "s|\"runs/quickstart-[^\"]*|\"/srv/run|; s|\"seeds.init\": 1|&, \"train.steps\": 50|" >/srv/block.py
    ./orrery python /srv/block.py'
}

step_deb() {
  enter "$suite" clone bash -c 'apt-get install -y --no-install-recommends dpkg-dev file >/dev/null &&
    cpack -G DEB --config build/release/CPackConfig.cmake -B /srv/deb'
  make_bare "$suite" deb
  cp "$platforms/$suite.clone"/srv/deb/orrery_*.deb "$platforms/$suite.deb/srv/"
  enter "$suite" deb bash -c 'apt-get update >/dev/null && apt-get install -y --no-install-recommends /srv/orrery_*.deb >/dev/null
    orrery --version
    orrery train /usr/share/orrery/configs/quickstart.toml --out /srv/run --set train.steps=100'
  # What the package only recommends is for authors.
  enter "$suite" deb bash -c 'apt-get install -y --no-install-recommends $(
    dpkg-query -W -f "\${Recommends}" orrery | tr -d ,) >/dev/null'
  enter "$suite" deb bash -c "$try_plugin" _ orrery /usr
}

table="| suite | step | result | wall | CPU |
|---|---|---|---|---|"
failed=0
for suite in "${suites[@]}"; do
  make_base "$suite"
  for step in "$@"; do
    echo "== $suite: $step"
    result=passed log=$platforms/$suite.$step.log
    TIMEFORMAT='%R %U %S'
    # A subshell of its own: `set -e` does not hold in what `if` tests.
    { time { set +e; (set -e; "step_$step") >"$log" 2>&1; echo $? >"$log.code"; set -e; }; } 2>"$log.time"
    [ "$(cat "$log.code")" = 0 ] || { result=FAILED failed=1; tail -n 25 "$log"; }
    read -r wall user system <"$log.time"
    table+=$(awk -v s="$suite" -v t="$step" -v r="$result" -v w="$wall" -v c="$user" -v k="$system" \
      'BEGIN { printf "\n| %s | %s | %s | %d:%02d | %d:%02d |", s, t, r, w / 60, w % 60, (c + k) / 60, (c + k) % 60 }')
  done
done
echo "$table"
exit $failed
