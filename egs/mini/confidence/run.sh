#!/usr/bin/env bash
# How sure can one be of a recognised word, out of 3000? The embedded corpus in heavy noise: recognisers of one half of
# the voices decode the other; unseen voices and sentences judge the confidences. The language model is one of 20,000
# sentences, those of both halves among them. Needs nothing but this repository.
extras=demo
default_seeds="0"
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"
. "$root/tools/confidence.sh"

mini=$data/mini size=(--set hours=2.5 --set vocabulary=3000 --set snr=[0,25] --set clean=0.1)
settings=(--config "$root/conf/train_am/bootstrap.yaml" --set train.steps=1600)
decode=(--set search.blank_penalty=1) systems=()
if [ $smoke = yes ]; then
    size=(--set hours=0.1 --set lm_sentences=500)
    settings=(--config "$root/conf/train_am/tiny.yaml" --set train.steps=60)
    systems=(--config "$root/conf/score_confidence/tiny.yaml")
    decode=(--set search.blank_penalty=10) # words, right or wrong, from next to nothing
fi

if stage 1 "Speak and prepare the corpus"; then
    voxkit prepare mini --out "$mini" --num-jobs "$num_jobs" "${size[@]}"
fi

if stage 2 "Build the decoding graph"; then
    voxkit make-graph --lexicon "$mini/lexicon.txt" --text "$mini/text_train.txt" --out "$exp/lang"
fi

confidence "$mini/cuts_train.jsonl.gz" "$mini/cuts_test.jsonl.gz" "$exp/lang" 2

finish "$exp/results/scores.txt"
