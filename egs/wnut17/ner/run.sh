#!/usr/bin/env bash
# WNUT-17: new and rare entities in user-generated English, on the official parts, found from words, characters, phones
# and bytes, in every combination.
# The corpus is looked for in $VOXKIT_DATA/wnut17, CMUdict for the pronunciations in $VOXKIT_DATA/cmudict.
default_seeds="0 1 2" extras=
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"
. "$root/tools/ner.sh"

sentences=$data/wnut17 words=$data/cmudict spoken=(--words 30000)
settings=(--config "$root/conf/ner/wnut17.yaml")
if [ $smoke = yes ]; then
    sentences=$data/few words=$data/few_words spoken=() settings=(--config "$root/conf/ner/tiny.yaml")
fi

if stage 1 "Prepare the sentences, and words with their pronunciations"; then prepared wnut17 cmudict; fi

if stage 2 "Learn to pronounce"; then
    pronouncer "$exp/pronouncer" --train "$words/train.tsv" --dev "$words/dev.tsv" "${spoken[@]}"
fi

if stage 3 "Learn"; then learn_all; fi

if stage 4 "Measure the speed"; then time_alone; fi

if stage 5 "Compare"; then compared; fi

finish "$results/scores.txt"
