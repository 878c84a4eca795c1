#!/usr/bin/env bash
# Bootstrapping on the embedded corpus: 2 minutes of noisy speech have transcripts, the rest of the hour is labelled by
# the recogniser that these make. Which of its labels to train on? Needs nothing but this repository.
extras=demo
default_seeds="0 1 2"
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"
. "$root/tools/bootstrap.sh"

mini=$data/mini size=(--set hours=1.2 --set vocabulary=1000 --set snr=[5,30] --set clean=0.1)
settings=(--config "$root/conf/train_am/bootstrap.yaml") decode=(--config "$root/conf/decode/bootstrap.yaml")
seed_hours=0.035 budgets="0.1 0.3" seed_steps=1200 more_steps=300
if [ $smoke = yes ]; then
    size=(--set hours=0.1 --set lm_sentences=500)
    settings=(--config "$root/conf/train_am/tiny.yaml")
    decode=(--set search.blank_penalty=10) # words, right or wrong, from next to nothing
    seed_hours=0.02 budgets=0.03 seed_steps=8 more_steps=8
fi

if stage 1 "Speak and prepare the corpus"; then
    voxkit prepare mini --out "$mini" --num-jobs "$num_jobs" "${size[@]}"
fi

if stage 2 "Build the decoding graph"; then
    voxkit make-graph --lexicon "$mini/lexicon.txt" --text "$mini/text_train.txt" --out "$exp/lang"
fi

bootstrap "$mini/cuts_train.jsonl.gz" "$mini/cuts_test.jsonl.gz" "$exp/lang" "$budgets"

finish "$exp/results/scores.txt"
