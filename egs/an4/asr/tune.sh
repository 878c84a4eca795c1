#!/usr/bin/env bash
# How settings are found for run.sh: train without 8 of the 74 training speakers, and choose the scales of decoding
# (conf/decode/an4.yaml) on those 8. The test part is not touched. The language model leaves their sentences out too.
extras=
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"

an4=$data/an4 lang=$exp/lang_tune am=$exp/tune/am
settings=(--config "$root/conf/train_am/an4.yaml")
if [ $smoke = yes ]; then
    settings=(--config "$root/conf/train_am/tiny.yaml" --set train.steps=8)
fi

if stage 1 "Prepare the corpus"; then
    voxkit prepare an4 --out "$an4"
fi

if stage 2 "Build the decoding graph"; then
    voxkit make-graph --lexicon "$an4/lexicon.txt" --text "$an4/text_train_tune.txt" --order 3 --out "$lang"
fi

if stage 3 "Train on the other speakers"; then
    in_two train-am --train "$an4/cuts_train_tune.jsonl.gz" --dev "$an4/cuts_dev.jsonl.gz" --lang "$lang" \
        --out "$am" --seed "${seeds%% *}" "${settings[@]}"
fi

if stage 4 "Choose the scales"; then
    voxkit decode "$am" "$an4/cuts_dev.jsonl.gz" --graph "$lang" --tune --out "$exp/tune/scales" --num-jobs "$num_jobs"
    cat "$exp/tune/scales/decode.yaml"
fi
