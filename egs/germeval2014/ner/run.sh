#!/usr/bin/env bash
# GermEval 2014: entities in German news and Wikipedia, found from words, characters, phones and bytes, in every
# combination. Where the corpus is complete, on its official parts; where only its dev part is there, that is divided.
# The corpus is looked for in $VOXKIT_DATA/germeval2014, German pronunciations in $VOXKIT_DATA/wikipron.
default_seeds="0 1 2" extras=
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"
. "$root/tools/ner.sh"

sentences=$data/germeval2014 words=$data/wikipron spoken=()
settings=(--config "$root/conf/ner/germeval2014.yaml")
if [ $smoke = yes ]; then
    sentences=$data/few words=$data/few_words spoken=() settings=(--config "$root/conf/ner/tiny.yaml")
fi

if stage 1 "Prepare the sentences, and words with their pronunciations"; then prepared germeval2014 wikipron; fi

if stage 2 "Learn to pronounce"; then
    pronouncer "$exp/pronouncer" --train "$words/train.tsv" --dev "$words/dev.tsv" --language deu "${spoken[@]}"
fi

if stage 3 "Learn"; then learn_all; fi

if stage 4 "Measure the speed"; then time_alone; fi

if stage 5 "Compare"; then compared; fi

finish "$results/scores.txt"
