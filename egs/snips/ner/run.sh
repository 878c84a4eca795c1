#!/usr/bin/env bash
# SNIPS: the slots of commands to a voice assistant, found from words, characters, phones and bytes, in every
# combination. Training is the official train part without 100 commands of each intent, which are the dev part; test is
# the official one. Then with 1, 5 and 20 % of the training, and with mistyped, misheard and made-up words in the test.
# The corpus is looked for in $VOXKIT_DATA/snips, CMUdict for the pronunciations in $VOXKIT_DATA/cmudict.
default_seeds="0 1 2" extras=
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"
. "$root/tools/ner.sh"

sentences=$data/snips words=$data/cmudict spoken=(--words 30000)
settings=(--config "$root/conf/ner/snips.yaml")
declare -A passes=([0.01]=80 [0.05]=40 [0.2]=20) # over so small a share of the training sentences
few=(--set batch.words=200 --set train.lr=0.003 --set train.warmup=50)
some="words chars chars+phones+bytes words+chars+phones+bytes"
if [ $smoke = yes ]; then
    sentences=$data/few words=$data/few_words spoken=() settings=(--config "$root/conf/ner/tiny.yaml")
    passes=([0.5]=1) few=() some="words chars+bytes"
fi

if stage 1 "Prepare the sentences, and words with their pronunciations"; then prepared snips cmudict; fi

if stage 2 "Learn to pronounce"; then
    pronouncer "$exp/pronouncer" --train "$words/train.tsv" --dev "$words/dev.tsv" "${spoken[@]}"
fi

if stage 3 "Learn from all sentences"; then learn_all; fi

if stage 4 "Learn from some sentences"; then learn_some "$some"; fi

if stage 5 "Make the test harder"; then
    lexicon=$exp/lexicon.txt
    cut -f 1,2 "$words"/{train,dev,test}.tsv >"$lexicon"
    likely=(--lexicon "$lexicon" --g2p "$exp/pronouncer/g2p" --train "$sentences/train.conll")
    harder mistyped_10 "$some" --kind typos --share 0.1
    harder mistyped_30 "$some" --kind typos --share 0.3
    harder misheard_10 "$some" --kind misheard --share 0.1 "${likely[@]}"
    harder misheard_30 "$some" --kind misheard --share 0.3 "${likely[@]}"
    names=()
    for label in album artist city entity_name movie_name object_name playlist poi restaurant_name track; do
        names+=(--label $label)
    done
    if [ $smoke = yes ]; then names=(); fi
    harder new_names "$some" --kind names "${names[@]}" --train "$sentences/train.conll"
fi

if stage 6 "Measure the speed"; then time_alone; fi

if stage 7 "Compare"; then compared; fi

finish "$results/scores.txt"
