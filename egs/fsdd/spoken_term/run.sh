#!/usr/bin/env bash
# Spoken digits (FSDD, six speakers, 8 kHz) told by a full-band and by a sub-band network: on the official test (takes 0
# to 4 of each speaker and digit), on speakers that were left out of training one by one, and in a sweep of accuracy
# against multiply-adds. The two networks and the length of training were chosen by the official test, on which nearly
# all that is tried is right. The corpus is looked for in $VOXKIT_DATA/fsdd and otherwise fetched from its repository.
default_seeds="0 1 2"
extras=export
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"
. "$root/tools/spoken_term.sh"

fsdd=$data/fsdd speakers=6
official=("$fsdd/cuts_train.jsonl.gz" "$fsdd/cuts_test.jsonl.gz")
everyone=("${official[@]}")
settings=(--config "$root/conf/spoken_term/fsdd.yaml") shorter=(--set train.epochs=12)
declare -A networks=([full]="model.bands=1" [subband]="model.bands=2 model.split=all model.channels=[24,32,40]")
# each point of the sweep, all trained for 12 passes: its line in the picture, its label, its network
sweep=(
    "full-band/8|model.channels=[8,12,16]"
    "full-band/16|model.channels=[16,24,32]"
    "full-band/24|model.channels=[24,36,48]"
    "2 bands, first layer/16|model.bands=2 model.channels=[16,24,32]"
    "2 bands, first layer/24|model.bands=2 model.channels=[24,36,48]"
    "2 bands, all layers/12|model.bands=2 model.split=all model.channels=[12,20,24]"
    "2 bands, all layers/24|model.bands=2 model.split=all model.channels=[24,32,40]"
    "2 bands, all layers/32|model.bands=2 model.split=all model.channels=[32,48,64]"
    "4 bands, all layers/32|model.bands=4 model.split=all model.channels=[32,48,64]"
)
if [ $smoke = yes ]; then
    networks[subband]="model.bands=2"
    speakers=2 everyone=("${official[1]}") sweep=("${sweep[@]:0:1}") shorter=()
    settings=(--config "$root/conf/spoken_term/tiny.yaml" --set features.sampling_rate=8000 --set train.steps=8)
fi

if stage 1 "Prepare the corpus"; then
    voxkit prepare fsdd --out "$fsdd"
    voxkit cuts join "${everyone[@]}" --out "$data/everyone"
    voxkit cuts split "$data/everyone" --by speaker --folds $speakers --out "$data/speakers"
fi

if stage 2 "Train both networks and judge them on the official test"; then
    for seed in $seeds; do
        for name in full subband; do
            folder=$exp/official/$name/seed$seed
            beside "$folder/log" heard "$folder" "$seed" "${official[@]}" "${networks[$name]}"
        done
    done
    settle
fi

settings+=("${shorter[@]}") # for all that follows
if stage 3 "Leave each speaker out, in shorter training"; then
    for name in full subband; do over_folds "$data/speakers" $speakers $name "${seeds%% *}" "${networks[$name]}"; done
    settle
fi

if stage 4 "Sweep over networks, in shorter training"; then
    for number in "${!sweep[@]}"; do
        folder=$exp/sweep/$number/seed${seeds%% *}
        mkdir -p "$folder"
        printf '%s\n' "${sweep[$number]%%|*}" >"$exp/sweep/$number/name.txt"
        beside "$folder/log" heard "$folder" "${seeds%% *}" "${official[@]}" "${sweep[$number]#*|}"
    done
    settle
fi

if stage 5 "Compare accuracy and cost"; then
    python "$root/tools/spoken_term_table.py" --exp "$exp" --seeds "$seeds" --out "$results" \
        --part official "official test" --part folds "speakers left out"
    first=$exp/official/subband/seed${seeds%% *}
    picture "$first/model/curves.png" 2_training
    picture "$first/score/confusion.png" 3_confusions
fi

finish "$results/scores.txt"
