#!/usr/bin/env bash
# SIGMORPHON 2020 task 1: one model that pronounces fifteen languages, trained on the official 3600 words of each,
# chosen on the official dev part and scored on the official test part; also with the language left for the model to
# tell, and not told at all. curve.sh compares with models of one language each.
# The corpus is looked for in $VOXKIT_DATA/sigmorphon2020_g2p.
extras=
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"
. "$root/tools/g2p.sh"

words=$data/sigmorphon2020 settings=(--config "$root/conf/g2p/sigmorphon2020.yaml")
if [ $smoke = yes ]; then words=$data/few settings=(--config "$root/conf/g2p/tiny.yaml"); fi

if stage 1 "Prepare the words"; then
    voxkit prepare sigmorphon2020_g2p --out "$data/sigmorphon2020"
    if [ $smoke = yes ]; then few_words "$data/sigmorphon2020" "$words"; fi
fi

if stage 2 "Train one model for all languages"; then
    for seed in $seeds; do
        in_two g2p train --train "$words/train.tsv" --dev "$words/dev.tsv" --out "$exp/seed$seed/g2p" --seed "$seed" \
            "${settings[@]}"
    done
fi

if stage 3 "Score"; then
    for seed in $seeds; do
        # one thread, so that the speed is that of one core
        for told in given auto none; do
            voxkit g2p score "$exp/seed$seed/g2p" "$words/test.tsv" --lang $told --out "$exp/seed$seed/test_$told"
        done
    done
    first=$exp/seed${seeds%% *}
    picture "$first/g2p/curves.png" 1_training
    picture "$first/test_given/by_language.png" 2_languages
    picture "$first/test_given/confusions.png" 3_confusions
fi

finish $(for seed in $seeds; do for told in given auto none; do echo "$exp/seed$seed/test_$told/scores.txt"; done; done)
