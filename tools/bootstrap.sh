# What the recipes of bootstrapping share; source it after recipe.sh and call
#
#   bootstrap TRAIN TEST LANG "HOURS ..."
#
# as stages 3 to 6: a seed model on $seed_hours of TRAIN; it decodes the rest; select-data chooses HOURS of that by each
# of $methods; it is trained on for $more_steps steps, on the seed's and the chosen utterances, labelled by itself; all are
# tested. The yardsticks are the same with the seed's utterances alone, and with all of TRAIN and its true transcripts.
# Gives WER against hours (table and picture) and the share of the gap between the yardsticks that is recovered.
methods="random confidence germ entropy"

# train_and_test FOLDER CUTS SEED [OPTIONS]
train_and_test() {
    local folder=$1 cuts=$2 seed=$3
    shift 3
    voxkit train-am --train "$cuts" --lang "$lang" --out "$folder/am" --seed "$seed" "${settings[@]}" "$@"
    voxkit decode "$folder/am" "$test" --graph "$lang" --out "$folder/decode" "${decode[@]}"
}

# choose_and_train SEED METHOD HOURS
choose_and_train() {
    local folder=$exp/seed$1/$2-$3
    voxkit select-data "$exp/seed$1/pool" --labelled "$exp/seed$1/parts/sample.jsonl.gz" --lang "$lang" \
        --method "$2" --hours "$3" --seed "$1" --out "$folder/chosen"
    train_and_test "$folder" "$folder/chosen/train.jsonl.gz" "$1" "${more[@]}" --init "$exp/seed$1/seed/am"
}

bootstrap() {
    local train=$1 test=$2 lang=$3 budgets=$4 seed hours method more=(--set "train.steps=$more_steps")
    if stage 3 "Train the seed models, and on with all transcripts"; then
        for seed in $seeds; do
            voxkit cuts sample "$train" --hours "$seed_hours" --seed "$seed" --out "$exp/seed$seed/parts"
            beside "$exp/seed$seed/seed.log" train_and_test "$exp/seed$seed/seed" \
                "$exp/seed$seed/parts/sample.jsonl.gz" "$seed" --set "train.steps=$seed_steps"
        done
        settle
        for seed in $seeds; do
            beside "$exp/seed$seed/more.log" train_and_test "$exp/seed$seed/more" \
                "$exp/seed$seed/parts/sample.jsonl.gz" "$seed" "${more[@]}" --init "$exp/seed$seed/seed/am"
            beside "$exp/seed$seed/all.log" train_and_test "$exp/seed$seed/all" "$train" "$seed" \
                "${more[@]}" --init "$exp/seed$seed/seed/am"
        done
        settle
    fi
    if stage 4 "Decode the rest"; then
        for seed in $seeds; do
            voxkit decode "$exp/seed$seed/seed/am" "$exp/seed$seed/parts/rest.jsonl.gz" --graph "$lang" --confusion \
                --out "$exp/seed$seed/pool" --num-jobs "$num_jobs" "${decode[@]}"
        done
    fi
    if stage 5 "Choose and train"; then
        for hours in $budgets; do
            for method in $methods; do
                for seed in $seeds; do
                    beside "$exp/seed$seed/$method-$hours.log" choose_and_train "$seed" "$method" "$hours"
                done
            done
        done
        settle
    fi
    if stage 6 "Compare"; then
        python "$root/tools/bootstrap_curve.py" --exp "$exp" --seeds "$seeds" --methods "$methods" --hours "$budgets" \
            --seed-hours "$seed_hours" --out "$exp/results"
    fi
}
