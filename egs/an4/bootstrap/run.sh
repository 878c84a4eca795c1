#!/usr/bin/env bash
# Bootstrapping on AN4: 3 of its 42 minutes of training speech have transcripts, the rest is labelled by the recogniser
# that these make. Which of its labels to train on? The language model is that of all transcripts: text is cheap.
extras=
default_seeds="0 1 2"
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"
. "$root/tools/bootstrap.sh"

an4=$data/an4
settings=(--config "$root/conf/train_am/bootstrap.yaml") decode=(--config "$root/conf/decode/bootstrap.yaml")
seed_hours=0.05 budgets="0.1 0.3" seed_steps=1200 more_steps=600
if [ $smoke = yes ]; then
    settings=(--config "$root/conf/train_am/tiny.yaml")
    budgets=0.1 seed_steps=8 more_steps=8
fi

if stage 1 "Prepare the corpus"; then
    voxkit prepare an4 --out "$an4"
fi

if stage 2 "Build the decoding graph"; then
    voxkit make-graph --lexicon "$an4/lexicon.txt" --text "$an4/text_train.txt" --order 3 --out "$exp/lang"
fi

bootstrap "$an4/cuts_train.jsonl.gz" "$an4/cuts_test.jsonl.gz" "$exp/lang" "$budgets"

finish "$exp/results/scores.txt"
