#!/usr/bin/env bash
# ESC-10 (environmental sounds): the official five folds, a network trained from scratch for each, on no other data. The
# corpus is looked for in $VOXKIT_DATA/esc10.
extras="export"
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"

folds="1 2 3 4 5" settings=(--config "$root/conf/audio_event/esc10.yaml")
if [ $smoke = yes ]; then folds="1 2" settings=(--config "$root/conf/audio_event/tiny.yaml" --set train.steps=4); fi
esc10=$data/esc10 parts=$data/folds

if stage 1 "Prepare the corpus"; then
    voxkit prepare esc10 --out "$esc10"
fi

if stage 2 "Divide it into the official folds"; then
    voxkit cuts split "$esc10/cuts_all.jsonl.gz" --by fold --out "$parts"
fi

train_and_test() { # SEED FOLD
    local part=$parts/fold-$2-of-5 folder=$exp/seed$1/fold$2
    voxkit audio-event train --train "$part/train.jsonl.gz" --out "$folder/teacher" --seed "$1" "${settings[@]}"
    voxkit audio-event score "$folder/teacher" "$part/held_out.jsonl.gz" --out "$folder/test"
}

if stage 3 "Train on four folds, test on the fifth"; then
    for seed in $seeds; do
        for fold in $folds; do beside "$exp/seed$seed/fold$fold.log" train_and_test "$seed" "$fold"; done
    done
    settle
fi

if stage 4 "All folds together"; then
    for seed in $seeds; do
        voxkit audio-event score --predictions $(for fold in $folds; do echo "$exp/seed$seed/fold$fold/test"; done) \
            --out "$exp/seed$seed/test"
    done
    picture "$exp/seed${seeds%% *}/test/confusion.png" 1_confusion
    picture "$exp/seed${seeds%% *}/test/det.png" 2_det
fi

finish $(for seed in $seeds; do echo "$exp/seed$seed/test/scores.txt"; done)
