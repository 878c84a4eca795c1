#!/usr/bin/env bash
# How sure can one be of a recognised word? Words that recognisers of AN4 got right and wrong, clean and in noise, on
# speakers that they had not heard, teach it; the test part's speakers, new to all, judge it.
extras=
default_seeds="0 1 2"
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"
. "$root/tools/confidence.sh"

an4=$data/an4 lexicon=$data/an4/lexicon.txt folds=4
settings=(--config "$root/conf/train_am/bootstrap.yaml" --set train.steps=1600)
decode=(--set search.blank_penalty=1) systems=()
noise=(--kinds white,pink,babble --snr 10 --snr 15 --snr 20 --clean)
if [ $smoke = yes ]; then
    folds=2 settings=(--config "$root/conf/train_am/tiny.yaml" --set train.steps=60) noise=(--kinds white --snr 20)
    systems=(--config "$root/conf/score_confidence/tiny.yaml")
    decode=(--set search.acoustic_scale=0.3 --set search.blank_penalty=6) # words, right or wrong, from next to nothing
fi

if stage 1 "Prepare the corpus"; then
    voxkit prepare an4 --out "$an4"
fi

if stage 2 "Build the decoding graph"; then
    voxkit make-graph --lexicon "$an4/lexicon.txt" --text "$an4/text_train.txt" --order 3 --out "$exp/lang"
fi

confidence "$an4/cuts_train.jsonl.gz" "$an4/cuts_test.jsonl.gz" "$exp/lang" $folds "${noise[@]}"

finish "$exp/results/scores.txt"
