#!/usr/bin/env bash
# SIGMORPHON 2020 task 1: one model that pronounces fifteen languages, trained on the official 3600 words of each,
# chosen on the official dev part and scored on the official test part. curve.sh compares with monolingual models.
# The corpus is looked for in $VOXKIT_DATA/sigmorphon2020_g2p.
extras=
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"

words=$data/sigmorphon2020 settings=(--config "$root/conf/g2p/sigmorphon2020.yaml")
if [ $smoke = yes ]; then settings=(--config "$root/conf/g2p/tiny.yaml" --words 20); fi

if stage 1 "Prepare the words"; then
    voxkit prepare sigmorphon2020_g2p --out "$words"
fi

if stage 2 "Train one model for all languages"; then
    for seed in $seeds; do
        in_two g2p train --train "$words/train.tsv" --dev "$words/dev.tsv" --out "$exp/seed$seed/g2p" --seed "$seed" \
            "${settings[@]}"
    done
fi
