#!/usr/bin/env bash
# One model that pronounces eighteen languages, learnt in two minutes from words that espeak-ng pronounces on the spot.
# Needs nothing but this repository.
extras="demo export"
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"

size=() settings=(--config "$root/conf/g2p/mini.yaml")
if [ $smoke = yes ]; then size=(--set per_language=30) settings=(--config "$root/conf/g2p/tiny.yaml"); fi
words=$data/espeak

if stage 1 "Pronounce words of eighteen languages"; then
    voxkit prepare espeak --out "$words" "${size[@]}"
fi

if stage 2 "Train one model for all"; then
    for seed in $seeds; do
        in_two g2p train --train "$words/train.tsv" --dev "$words/dev.tsv" --out "$exp/seed$seed/g2p" --seed "$seed" \
            "${settings[@]}"
    done
fi

if stage 3 "Score on words that were not learnt"; then
    for seed in $seeds; do
        voxkit g2p score "$exp/seed$seed/g2p" "$words/test.tsv" --out "$exp/seed$seed/test"
        voxkit g2p score "$exp/seed$seed/g2p" "$words/test.tsv" --lang auto --out "$exp/seed$seed/test_auto"
    done
    picture "$exp/seed${seeds%% *}/g2p/curves.png" 1_training
    picture "$exp/seed${seeds%% *}/test/by_language.png" 2_languages
fi

if stage 4 "Export, and show what it says"; then
    first=$exp/seed${seeds%% *}
    voxkit g2p export "$first/g2p" --out "$first/onnx"
    # each word in its language, and as the model takes it when it is not told
    sample=("night en-us" "Nacht de" "nuit fr" "noche es" "notte it" "noite pt" "nacht nl" "natt sv" "noc pl" "ночь ru" \
        "νύχτα el" "gece tr" "yö fi" "éjszaka hu" "रात hi" "밤 ko")
    printf 'word\tphones\tlanguage\tphones without the language\tlanguage that was taken\n' >"$results/words.tsv"
    printf '%s\n' "${sample[@]}" | tr ' ' '\t' | voxkit g2p apply "$first/onnx" >"$first/told.tsv"
    cut -f 1 "$first/told.tsv" | voxkit g2p apply "$first/onnx" --lang auto >"$first/guessed.tsv"
    cut -f 2,3 "$first/guessed.tsv" | paste "$first/told.tsv" - >>"$results/words.tsv"
fi

finish $(for seed in $seeds; do echo "$exp/seed$seed/test/scores.txt" "$exp/seed$seed/test_auto/scores.txt"; done)
