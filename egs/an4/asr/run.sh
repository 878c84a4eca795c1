#!/usr/bin/env bash
# AN4 (spelled words, numbers, commands): train on the official 948 utterances, decode the official 130, score.
# The corpus is looked for in $VOXKIT_DATA/an4 and otherwise fetched from its repository. The scales of decoding
# (conf/decode/an4.yaml) and all else were tuned on speakers held out of the training part, as tune.sh does.
extras=
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"

an4=$data/an4 lang=$exp/lang
settings=(--config "$root/conf/train_am/an4.yaml") decode=(--config "$root/conf/decode/an4.yaml")
shown=an406-fcaw-b
if [ $smoke = yes ]; then
    shown=worst
    settings=(--config "$root/conf/train_am/tiny.yaml" --set train.steps=8)
fi

if stage 1 "Prepare the corpus"; then
    voxkit prepare an4 --out "$an4"
fi

if stage 2 "Build the decoding graph"; then
    voxkit make-graph --lexicon "$an4/lexicon.txt" --text "$an4/text_train.txt" --order 3 --out "$lang"
fi

if stage 3 "Train the acoustic model"; then
    for seed in $seeds; do
        in_two train-am --train "$an4/cuts_train.jsonl.gz" --lang "$lang" \
            --out "$exp/seed$seed/am" --seed "$seed" "${settings[@]}"
    done
fi

if stage 4 "Decode and score"; then
    for seed in $seeds; do
        # one process, so that the real-time factor is that of one core
        voxkit decode "$exp/seed$seed/am" "$an4/cuts_test.jsonl.gz" --graph "$lang" \
            --out "$exp/seed$seed/decode" "${decode[@]}" --plot "$shown" --plot worst
        asr_pictures "$exp/seed$seed" "$shown"
    done
fi

if stage 5 "Decode by minimum Bayes risk"; then
    for seed in $seeds; do
        voxkit decode "$exp/seed$seed/am" "$an4/cuts_test.jsonl.gz" --graph "$lang" --out "$exp/seed$seed/mbr" \
            "${decode[@]}" --method mbr --plot "$shown"
    done
    picture "$exp/seed${seeds%% *}/mbr/plots/$shown.png" 5_confusion_network
fi

finish $(for seed in $seeds; do echo "$exp/seed$seed/decode/scores.txt" "$exp/seed$seed/mbr/scores.txt"; done)
