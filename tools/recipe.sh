# What recipes share; source it from egs/<corpus>/<task>/run.sh:
#
#   extras="demo"                                # of pyproject.toml, beside the core
#   . "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"
#   if stage 1 "Prepare"; then voxkit prepare ...; fi
#   finish "$exp"/seed*/decode/scores.txt        # prints the headline lines and writes RESULTS.md
#
# Gives: $here $root $data $exp $results $seeds $num_jobs $smoke; runs from any directory. Commands resume and skip what is
# complete, so running a recipe again goes on where it stopped.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
script=$(basename "${BASH_SOURCE[1]}" .sh)
recipe_command="bash ${here#"$root"/}/$script.sh$([ $# = 0 ] || printf " %q" "$@")"

usage() {
    cat <<EOF
Usage: bash ${here#"$root"/}/$script.sh [options]
  --stage N          start at stage N (default 0)
  --stop-stage N     stop after stage N
  --num-jobs N       processes for data commands (default: the number of cores)
  --seeds "S ..."    train once with each seed (default "${default_seeds:-0}")
  --smoke            a tiny run that shows that every stage works
  --data DIR         folder for prepared data (default: data beside the recipe)
  --exp DIR          folder for experiments (default: exp beside the recipe)
${options_help:-}
EOF
}

first_stage=0 last_stage=1000 num_jobs=$(nproc) seeds=${default_seeds:-0} smoke=no data="" exp=""
need() { [ $# -ge 2 ] || { echo "error: $1 needs a value" >&2; exit 2; }; }
while [ $# -gt 0 ]; do
    case $1 in
        --stage) need "$@"; first_stage=$2; shift 2 ;;
        --stop-stage) need "$@"; last_stage=$2; shift 2 ;;
        --num-jobs) need "$@"; num_jobs=$2; shift 2 ;;
        --seeds) need "$@"; seeds=$2; shift 2 ;;
        --data) need "$@"; data=$2; shift 2 ;;
        --exp) need "$@"; exp=$2; shift 2 ;;
        --smoke) smoke=yes; shift ;;
        -h | --help) usage; exit 0 ;;
        *) echo "error: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
done
for number in "$first_stage" "$last_stage" "$num_jobs" $seeds; do
    case $number in "" | *[!0-9]*) echo "error: not a whole number: $number" >&2; exit 2 ;; esac
done
[ -n "$seeds" ] || { echo "error: --seeds is empty" >&2; exit 2; }
suffix=""
if [ $smoke = yes ]; then suffix=_smoke; seeds=${seeds%% *}; fi
data=$(realpath -m "${data:-$here/data$suffix}")
exp=$(realpath -m "${exp:-$here/exp$suffix}")

bash "$root/tools/setup.sh" ${extras:-}
PATH=${VOXKIT_VENV:-$root/.venv}/bin:$PATH
stages=$exp/.stages/$script
results=$exp/results
if [ "$script" != run ]; then results=$exp/results_$script; fi
mkdir -p "$data" "$stages" "$results"

# in_two ARGUMENTS: `voxkit ARGUMENTS` as two processes of one thread that share the work, as torchrun starts them but
# with voxkit's exit status. Always two, so that the result does not depend on the machine; on a CPU that is faster than
# one process with two threads. A smoke run takes one.
in_two() {
    if [ $smoke = yes ]; then OMP_NUM_THREADS=1 voxkit "$@"; return; fi
    local port=$((20000 + RANDOM % 20000)) rank status=0 pids=()
    for rank in 0 1; do
        # what both have to say is said once
        if [ $rank = 0 ]; then exec 8>&2; else exec 8>"$exp/rank$rank.log"; fi
        RANK=$rank LOCAL_RANK=$rank WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port OMP_NUM_THREADS=1 \
            voxkit "$@" 2>&8 8>&- &
        pids+=($!)
    done
    exec 8>&-
    trap 'kill -TERM "${pids[@]}" 2>/dev/null || true' INT TERM
    for rank in 1 0; do
        while kill -0 "${pids[$rank]}" 2>/dev/null; do wait "${pids[$rank]}" 2>/dev/null || true; done
        wait "${pids[$rank]}" || status=$?
    done
    trap - INT TERM
    return $status
}

# beside LOG COMMAND ...: starts the command in the background as soon as fewer than $num_jobs are running, one thread
# each; what it says goes to LOG. `settle` waits for all of them and fails, showing the logs, if one failed.
running=() running_logs=()
beside() {
    local log=$1
    shift
    while [ "$(jobs -rp | wc -l)" -ge "$num_jobs" ]; do sleep 0.2; done
    mkdir -p "$(dirname "$log")"
    rm -f "$log.status"
    echo "started, see $log" >&2
    set -m # a process group of its own, so that a signal reaches all that the command has started
    # the shell forgets how jobs ended that `jobs` has seen end, so that each writes it down
    (
        trap 'echo $? >"$log.status"' EXIT
        OMP_NUM_THREADS=1 "$@"
    ) >"$log" 2>&1 &
    set +m
    running+=($!) running_logs+=("$log")
    trap 'stop_running; exit 130' INT
    trap 'stop_running; exit 75' TERM
}
stop_running() {
    local pid
    for pid in "${running[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
    wait
}
settle() {
    local index ended status=0
    for index in "${!running[@]}"; do
        wait "${running[$index]}" 2>/dev/null || true
        ended=$(cat "${running_logs[$index]}.status" 2>/dev/null || echo 1) # none: it was killed
        [ "$ended" = 0 ] && continue
        status=$ended
        echo "failed ($status), see ${running_logs[$index]}:" >&2
        tail -n 20 "${running_logs[$index]}" >&2
    done
    running=() running_logs=()
    trap - INT TERM
    return $status
}

# stage N TITLE: true if the stage is asked for; keeps the wall time of each.
current_stage=""
stage() {
    stage_end
    if [ "$1" -lt "$first_stage" ] || [ "$1" -gt "$last_stage" ]; then return 1; fi
    current_stage=$1 stage_title=$2 stage_start=$(date +%s.%N)
    echo "stage $1: $2" >&2
}
stage_end() {
    if [ -n "$current_stage" ]; then
        # The times of a stage that was stopped and went on add up.
        awk -v a="$stage_start" -v b="$(date +%s.%N)" -v f="$stages/$current_stage" -v t="$stage_title" \
            'BEGIN { getline line < f; split(line, old, "\t"); close(f); printf "%.1f\t%s\n", b - a + old[1], t > f }'
        current_stage=""
    fi
}
trap stage_end EXIT

# picture FILE NAME: shows a PNG in RESULTS.md under that name, in the order of names. A *.tsv in $results becomes a
# table there.
picture() {
    cp "$1" "$results/$2.png"
}

# asr_pictures FOLDER ID: the pictures of FOLDER/am and FOLDER/decode, where the cut ID and the worst one were drawn.
asr_pictures() {
    picture "$1/am/curves.png" 1_training
    picture "$1/decode/plots/$2.png" 2_recognised
    picture "$1/decode/plots/worst.png" 3_most_errors
    picture "$1/decode/confusions.png" 4_confusions
}

# finish FILE ...: the metric lines (%NAME value [...] path) of the files are the headline; a full run writes
# RESULTS.md beside the recipe (RESULTS_<script>.md where the script is not run.sh), a smoke run beside its experiments.
finish() {
    stage_end
    local file name=RESULTS.md
    for file in "$@"; do # with --stop-stage, the stage that makes it may not have been asked for
        if [ "$last_stage" != 1000 ] && ! [ -f "$file" ]; then
            echo "stopped after stage $last_stage; $file, which results are made of, is not there yet" >&2
            return 0
        fi
    done
    if [ "$script" != run ]; then name=RESULTS_$script.md; fi
    local target=$here/$name
    if [ $smoke = yes ]; then target=$exp/$name; fi
    python "$root/tools/results.py" --recipe "$here" --results "$results" --stages "$stages" --seeds "$seeds" \
        --command "$recipe_command" --out "$target" "$@"
}
