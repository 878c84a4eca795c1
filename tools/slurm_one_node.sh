#!/usr/bin/env bash
# Set up a Slurm cluster of one node, this machine, for the tests that need one. Run as root on Debian or Ubuntu;
# running it again starts what is not running. `tools/slurm_one_node.sh stop` ends it.
# Not for production: no accounting, no cgroups, no limits on memory.
set -euo pipefail

die() { echo "error: $*" >&2; exit 2; }

conf=/etc/slurm/slurm.conf
host=$(hostname -s)

running() {  # NAME: the daemon named in this cluster's pid file is alive
    local pid
    pid=$(cat "/run/$1.pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null
}

stop() {
    local daemon
    for daemon in slurmd slurmctld; do
        if running "$daemon"; then kill "$(cat "/run/$daemon.pid")"; fi
        for _ in $(seq 50); do running "$daemon" || break; sleep 0.2; done
    done
}

[ "$(id -u)" = 0 ] || die "needs root (sudo $0)"
case "${1:-start}" in
    start) ;;
    stop) stop; exit 0 ;;
    *) die "usage: $0 [start|stop]" ;;
esac

if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
    command -v apt-get >/dev/null || die "slurmctld and munge are not installed; install your system's packages"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq slurm-wlm munge >/dev/null
fi

if [ -f "$conf" ] && ! grep -q '^ClusterName=voxkit-test$' "$conf"; then
    die "$conf belongs to another cluster; it is left alone"
fi

mkdir -p /etc/slurm /var/spool/slurmctld /var/spool/slurmd /var/log/slurm /run/munge
cores=$(nproc)
memory=$(awk '/^MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)
cat >"$conf.new" <<CONF
ClusterName=voxkit-test
SlurmctldHost=$host
AuthType=auth/munge
# A requeued job waits until its old credential has expired; the default of 120 s would make tests slow.
AuthInfo=cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
JobRequeue=1
KillWait=10
MinJobAge=300
SchedulerParameters=sched_interval=2,batch_sched_delay=0
SlurmUser=root
SlurmdUser=root
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=1-00:00:00 OverSubscribe=FORCE:8 State=UP
CONF
if ! cmp -s "$conf.new" "$conf"; then
    stop
    mv "$conf.new" "$conf"
else
    rm "$conf.new"
fi

if ! grep -qw "$host" /etc/hosts; then echo "127.0.0.1 $host" >>/etc/hosts; fi
if [ ! -s /etc/munge/munge.key ]; then
    mkdir -p /etc/munge
    head -c 1024 /dev/urandom >/etc/munge/munge.key
fi
chown -R munge: /etc/munge /run/munge /var/lib/munge /var/log/munge 2>/dev/null || true
chmod 400 /etc/munge/munge.key

munge -n >/dev/null 2>&1 || runuser -u munge -- munged
running slurmctld || slurmctld
running slurmd || slurmd

for _ in $(seq 30); do
    if sinfo -h -o %T 2>/dev/null | grep -qE '^(idle|mixed|allocated)'; then
        sinfo
        exit 0
    fi
    scontrol update NodeName="$host" State=RESUME >/dev/null 2>&1 || true
    sleep 1
done
tail -n 20 /var/log/slurm/slurmctld.log /var/log/slurm/slurmd.log >&2 || true
die "the node does not come up; the logs are in /var/log/slurm"
