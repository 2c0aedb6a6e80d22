#!/bin/bash
# The launcher in a tree of its own, with a cmake that only says what it was asked for.
# usage: launcher_test.sh SOURCE_TREE
set -euo pipefail
source_tree=$1
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
fail() { echo "FAILED: $*"; echo "-- cmake was asked:"; cat "$place/asked" 2>/dev/null; echo "-- said:"; cat "$place/said"; exit 1; }

mkdir -p "$place"/{bin,tree/{framework/start/help,tasks/{parity,sums},probes/{norms,waves},tests}}
mkdir -p "$place"/tree/plugins/{losses/{steep,flat},updates/{clip,slow},models/{bag,chain}}
cp "$source_tree/orrery" "$place/tree/"
touch "$place/tree/CMakeLists.txt"
printf '#!/bin/sh\necho installed\n' >"$place/bin/dpkg-query"
cat >"$place/bin/cmake" <<'STUB'
#!/bin/bash
echo "$*" >>"$ASKED"
case " $* " in
  *" -j "*) sleep 1; echo "rest is built" >>"$ASKED" ;;  # in the background
esac
[ -z "${EDIT:-}" ] || [ "$1" != --build ] || { sleep 0.02; touch "$EDIT"; }
[ "$1" != --build ] || { mkdir -p "$2/bin"; printf '#!/bin/bash\necho "as $ORRERY_CALLED_AS: $*"\n' >"$2/bin/orrery"; chmod +x "$2/bin/orrery"; }
STUB
chmod +x "$place"/bin/*
export PATH=$place/bin:$PATH ASKED=$place/asked
unset ORRERY_CALLED_AS ORRERY_BUILD ORRERY_TORCH OMP_NUM_THREADS
cd "$place/tree"
printf '[task]\nname = "parity"\n[[probe]]\nname = "norms"\n' >c.toml

launch() { : >"$ASKED"; out=$(./orrery "$@" 2>"$place/said"); }
# A tree that was never built, once what is built in the background is done.
anew() { [ ! -e build/release/.building ] || flock build/release/.building true; rm -rf build; }
asked() { grep -qF -- "$1" "$ASKED" || fail "$2"; }

# The first training builds what it needs, and the rest beside it.
launch train c.toml
asked "--target orrery_program probe_norms task_parity" "the first training was to build only what its config names"
[ "$out" = "as ./orrery: train c.toml" ] || fail "the program was not run as it was called: $out"
! grep -q "rest is built" "$ASKED" || fail "the training waited for the rest"
grep -q "built while it trains" "$place/said" || fail "nothing said that the rest is being built"
# The next command waits for it, and builds nothing itself.
: >"$place/said"
out=$(./orrery runs 2>"$place/said")
asked "rest is built" "the next command did not wait"
grep -q "waiting for another build" "$place/said" || fail "nothing said what it waits for"
[ "$(grep -c -- --build "$ASKED")" = 2 ] || fail "something was built twice"

# What is named in the other ways too, also inline; a comment's words are no names.
anew
cat >all.toml <<'CONFIG'
# not sums
task = { name = "parity" }
[model]
kind = "bag"
[train]
loss = "steep"  # not "flat"
[[train.update]]
name='clip'
CONFIG
launch train all.toml
asked "--target orrery_program model_bag update_clip task_parity loss_steep" "losses, updates and models are named too"
sed -i 's/^loss = .*/[train.loss]\nname = "flat"/' all.toml
anew
launch train all.toml
asked "--target orrery_program model_bag update_clip loss_flat task_parity" "a loss may be a table"
for other in model.kind=chain train.loss=flat train.loss.name=flat "train.update=[{name='slow'}]"; do
  anew
  launch train all.toml --set "$other"
  ! grep -q -- --target "$ASKED" || fail "$other: --set names another plugin"
done

# Without a config that names a task of ours, all of it is built at once.
anew
launch train c.toml --set task.name=other
! grep -q -- --target "$ASKED" || fail "the task is another one"
anew
launch plugins
! grep -q -- --target "$ASKED" || fail "plugins needs all"
# Nothing changed: nothing is built.
launch train c.toml
[ ! -s "$ASKED" ] || fail "nothing was to be built"
# Something did.
sleep 0.01; touch tasks/parity
launch train c.toml
asked "--build" "a changed tree was to be built"
! grep -q -- --target "$ASKED" || fail "a tree that was built before is built whole"
# What is edited while it builds is built by the next call.
sleep 0.01; touch tasks/parity
EDIT=$PWD/probes/norms launch plugins
launch plugins
asked "--build" "an edit during the build was missed"
launch plugins
[ ! -s "$ASKED" ] || fail "it is built, and nothing was edited"

# Python with the package, by the interpreter that it was built for, in the environment of the program.
anew
if launch python -c 1; then fail "a build without the package was taken for one with it"; fi
grep -q "has no Python package" "$place/said" || fail "nothing said that the package is missing"
mkdir -p build/release/python/orrery
printf '#!/bin/bash\necho "$PYTHONPATH|$TUNED|$*"\n' >"$place/bin/its-python"
chmod +x "$place/bin/its-python"
printf 'EXECUTABLE = "%s"\n' "$place/bin/its-python" >build/release/python/orrery/_build.py
printf '#!/bin/bash\n[ "$1" = --environment ] && echo TUNED=yes\n' >build/release/bin/orrery
PYTHONPATH=/mine launch python -m jupyterlab "a b"
[ "$out" = "$place/tree/build/release/python:/mine|yes|-m jupyterlab a b" ] || fail "Python was not started with the package: $out"

# Tests run on all cores, in the environment of the program, whose one thread each is not to be taken for one core.
printf '#!/bin/bash\necho "${OMP_NUM_THREADS:-3}"\n' >"$place/bin/nproc"
printf '#!/bin/bash\necho "ctest with $OMP_NUM_THREADS thread: $*" >>"$ASKED"\n' >"$place/bin/ctest"
chmod +x "$place"/bin/{nproc,ctest}
printf '#!/bin/bash\n[ "$1" = --environment ] && echo OMP_NUM_THREADS=1\n' >build/release/bin/orrery
touch build/release/.built-tests
launch test -R Import
asked "ctest with 1 thread: --test-dir $place/tree/build/release --no-tests=error --output-on-failure -j 3 -R Import" \
  "the tests were to run on three cores"
echo "the launcher builds what is needed, once"
