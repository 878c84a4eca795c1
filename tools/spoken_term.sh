# What recipes of spoken terms share; source it after recipe.sh. `settings` holds the options of all trainings.
#
# heard FOLDER SEED TRAIN TEST NETWORK: trains on TRAIN into FOLDER/model the network of the settings NETWORK, such as
# "model.bands=2 model.overlap=4", and judges it on TEST into FOLDER/score.
heard() {
    local folder=$1 seed=$2 train=$3 test=$4 words options=()
    read -ra words <<<"$5"
    for word in "${words[@]}"; do options+=(--set "$word"); done
    voxkit spoken-term train --train "$train" --out "$folder/model" --seed "$seed" "${settings[@]}" "${options[@]}"
    voxkit spoken-term score "$folder/model" "$test" --out "$folder/score"
}

# over_folds PARTS COUNT NAME SEED NETWORK: that for each of COUNT folds that `voxkit cuts split` wrote into PARTS.
over_folds() {
    local fold folder part
    for fold in $(seq "$2"); do
        folder=$exp/folds/$3/seed$4/fold$fold part=$1/fold-$fold-of-$2
        beside "$folder/log" heard "$folder" "$4" "$part/train.jsonl.gz" "$part/held_out.jsonl.gz" "$5"
    done
}
