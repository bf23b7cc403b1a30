#!/usr/bin/env bash
# A real Slurm on this one machine, for tests: controller, accounting if asked for, and NODES emulated nodes of 2 CPUs.
# Debian or Ubuntu, root, no systemd needed. Everything but the packages lives in $SLURM_TEST_DIR.
#
#   cluster.sh up           install what is missing, start what is not running, wait until all nodes are idle
#   cluster.sh controller   start the controller again, after a test has ended it
#   cluster.sh node n2      start one node again
#   cluster.sh down         end what this script has started, and nothing else
set -euo pipefail

DIR=${SLURM_TEST_DIR:-${TMPDIR:-/tmp}/repbench-slurm}
NODES=${SLURM_TEST_NODES:-4}
PORT=${SLURM_TEST_PORT:-18000}
HOST=$(hostname -s)
export SLURM_CONF=$DIR/etc/slurm.conf

fail() { echo "cluster: $1" >&2; exit 1; }

# A process is known by its number and the time it was started at, so that a reused number is never mistaken for it.
born() { awk '{ sub(/.*\) /, ""); if ($1 != "Z") print $20 }' "/proc/$1/stat" 2>/dev/null || true; }
runs() {
  local pid at
  [ -f "$DIR/pids/$1" ] || return 1
  read -r pid at <"$DIR/pids/$1"
  [ -n "$at" ] && [ "$(born "$pid")" = "$at" ]
}
start() { # NAME COMMAND...: in a session of its own
  local name=$1
  shift
  runs "$name" && return 0
  setsid nohup "$@" </dev/null >>"$DIR/log/$name.out" 2>&1 9>&- &
  echo "$! $(born $!)" >"$DIR/pids/$name"
}
await() { # SECONDS WHAT COMMAND...
  local i seconds=$1 what=$2
  shift 2
  for ((i = 0; i < seconds * 5; i++)); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.2
  done
  tail -n 20 "$DIR"/log/* >&2
  fail "$what did not come up in $seconds s"
}

install_packages() {
  local tool package missing=()
  for tool in slurmctld:slurmctld slurmd:slurmd sbatch:slurm-client munged:munge; do
    package=${tool#*:}
    command -v "${tool%:*}" >/dev/null || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return 0
  export DEBIAN_FRONTEND=noninteractive
  local install=(apt-get install -y -qq --no-install-recommends "${missing[@]}")
  "${install[@]}" >"$DIR/log/apt" 2>&1 || { apt-get update -qq && "${install[@]}" >"$DIR/log/apt" 2>&1; } ||
    fail "cannot install ${missing[*]}: $(tail -n 2 "$DIR/log/apt")"
}

configure() {
  # cred_expire: a requeued job waits until its old credential has expired (120 s by default); it must exceed KillWait.
  # config_overrides: nodes may claim more than the machine has. pgid: no cgroups are needed.
  # preempt_send_user_signal with a GraceTime: a preempted job is told before it is ended.
  cat >"$SLURM_CONF" <<CONF
ClusterName=repbench
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=/run/munge/munge.socket.2,cred_expire=10
MpiDefault=none
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=200
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool/%n
SlurmctldPidFile=$DIR/pids/self-slurmctld
SlurmdPidFile=$DIR/pids/self-%n
SlurmctldLogFile=$DIR/log/slurmctld
SlurmdLogFile=$DIR/log/slurmd-%n
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
MaxArraySize=301
MinJobAge=3600
SlurmctldTimeout=30
SlurmdTimeout=10
KillWait=5
MessageTimeout=10
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
NodeName=n[1-$NODES] NodeHostname=$HOST NodeAddr=127.0.0.1 Port=[$((PORT + 1))-$((PORT + NODES))] CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=10
PartitionName=low Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=100 PreemptMode=OFF
CONF
}

all_idle() { [ "$(sinfo -h -p main -N -o %T | sort -u)" = idle ] && [ "$(sinfo -h -p main -N | wc -l)" = "$NODES" ]; }
munge_works() { munge -n | unmunge >/dev/null; }
controller() { start slurmctld slurmctld -D -f "$SLURM_CONF"; await 20 slurmctld sh -c 'scontrol ping | grep -q UP'; }
node() { start "slurmd-$1" slurmd -D -N "$1" -f "$SLURM_CONF"; }

up() {
  [ "$(id -u)" = 0 ] || fail "must be root"
  mkdir -p "$DIR"/{etc,log,pids,state,spool}
  exec 9>"$DIR/lock"
  flock -w 300 9
  install_packages
  configure
  if ! munge_works 2>/dev/null; then
    [ -s /etc/munge/munge.key ] ||
      (umask 077 && head -c 128 /dev/urandom >/etc/munge/munge.key && chown munge: /etc/munge/munge.key)
    install -d -o munge -g munge -m 0755 /run/munge
    start munged setpriv --reuid munge --regid munge --init-groups munged -F
    await 10 munge munge_works
  fi
  controller
  for ((k = 1; k <= NODES; k++)); do node "n$k"; done
  await 30 "all nodes" all_idle
  sinfo
}

down() {
  local file pid at name tries
  for file in "$DIR"/pids/slurmd-* "$DIR/pids/slurmctld" "$DIR/pids/munged"; do
    [ -f "$file" ] || continue
    name=$(basename "$file")
    if runs "$name"; then read -r pid at <"$file" && kill -TERM "$pid" || true; fi
  done
  # until they are gone they still write here, and a folder that fills while it is removed stays
  for file in "$DIR"/pids/*; do
    for ((tries = 0; tries < 200; tries++)); do runs "$(basename "$file")" || break; sleep 0.1; done
  done
  for ((tries = 0; tries < 5; tries++)); do rm -rf "$DIR" 2>/dev/null && return; sleep 1; done
  fail "$DIR cannot be removed"
}

case ${1:-} in
  up) up ;;
  down) down ;;
  controller) controller ;;
  node) node "$2" ;;
  *) fail "give up, down, controller or node NAME" ;;
esac
