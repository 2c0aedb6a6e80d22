#!/bin/bash
# A sweep as array jobs of a real Slurm: one task is told that its time is over, one killed, one queued again by hand, one
# node drained. The table is that of the same sweep without Slurm.   usage: slurm_test.sh PROGRAM
set -eu
program=$1
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cluster.sh"
place=$(mktemp -d)
trap 'stop_cluster; rm -rf "$place"' EXIT
fail() { echo "failed: $*" >&2; tail -n 20 "$place"/user/runs/sweeps/s/slurm/*.log >&2; squeue >&2; exit 1; }

mkdir "$place/user" && cd "$place/user"
cat > base.toml <<'END'
[task]
name = "modular_arithmetic"
p = 7
[model]
d_model = 16
n_heads = 1
d_head = 16
d_mlp = 16
[train]
steps = 6000
eval_every = 500
[checkpoints]
every = 2000
END
cat > s.toml <<'END'
base = "base.toml"
seeds = 6
[[stage]]
name = "first"
[[stage]]
name = "second"
from = "first"
[stage.set]
train.steps = 3000
[[reading]]
name = "loss"
metric = "train/loss"
END

"$program" sweep run s.toml --jobs 1 --out reference
"$program" sweep table s.toml --out reference --csv > expected.csv

start_cluster "$place/cluster"
"$program" sweep submit s.toml --slurm --dry-run --pack 2 --throttle 3 | grep -q -- '#SBATCH --array=0-2%3' || fail "dry run"
[ -z "$(squeue -h)" ] || fail "a dry run submitted something"

finished() { for _ in $(seq 600); do [ -z "$(squeue -h)" ] && return 0; sleep 1; done; fail "jobs do not end"; }
"$program" sweep submit s.toml --slurm --pack 2 --throttle 3 > jobs
[ "$(wc -l < jobs)" = 2 ] || fail "two stages are two jobs"
first=$(head -n 1 jobs)
for _ in $(seq 120); do ls runs/sweeps/s/runs/*/metrics.jsonl >/dev/null 2>&1 && break; sleep 0.2; done
scancel --batch --signal=USR1 "${first}_0"
scancel --signal=KILL --full "${first}_1" || true
scontrol requeue "${first}_2" || true
scontrol update nodename=n2 state=drain reason=test
sleep 3
scontrol update nodename=n2 state=resume
finished
grep -q "stopped; .* runs done" runs/sweeps/s/slurm/"${first}"_0.log || fail "USR1 did not stop task 0 in order"
# What was killed is missing or stale, and what starts from it waits: the same command goes on.
"$program" sweep submit s.toml --slurm --pack 2 > jobs
finished
"$program" sweep status s.toml
"$program" sweep table s.toml --csv > got.csv
cmp expected.csv got.csv || fail "another table"
[ -z "$(find runs/sweeps/s/runs -name '*.damaged*')" ] || fail "a run was set aside"
echo "the table is the same"
