# A Slurm of one machine with two nodes of two slots, in a folder of its own: source it, then start_cluster FOLDER.
# No munge, no accounting; needs root, as slurmd does.

start_cluster() {
  cluster=$1
  mkdir -p "$cluster/state"
  export SLURM_CONF="$cluster/slurm.conf"
  local host
  host=$(hostname -s)
  cat > "$SLURM_CONF" <<END
ClusterName=orrery
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=1
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool.%n
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/slurmd.%n.pid
SlurmctldLogFile=$cluster/slurmctld.log
SlurmdLogFile=$cluster/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=5
NodeName=n[1-2] NodeHostname=$host NodeAddr=127.0.0.1 Port=[17001-17002] CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
  slurmctld -c -f "$SLURM_CONF"
  slurmd -N n1 -f "$SLURM_CONF"
  slurmd -N n2 -f "$SLURM_CONF"
  for _ in $(seq 60); do
    [ "$(sinfo -h -t idle -o %D 2>/dev/null)" = 2 ] && return 0
    sleep 0.5
  done
  echo "the cluster did not come up:" >&2
  tail -n 5 "$cluster"/*.log >&2
  return 1
}

stop_cluster() {
  local pid
  for pid in "$cluster"/*.pid; do [ -s "$pid" ] && kill "$(cat "$pid")" 2>/dev/null; done
  sleep 1
}
