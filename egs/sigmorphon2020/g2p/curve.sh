#!/usr/bin/env bash
# What sharing a model is worth where a language has few words: models of one language and of all fifteen, of the same
# size, trained on 100, 300 and 1000 words of each language for as many epochs and scored on the official test part.
# With all 3600 words run.sh compares them. A GPU is used where there is one.
extras=
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"
. "$root/tools/g2p.sh"

words=$data/sigmorphon2020 epochs=([100]=60 [300]=50 [1000]=40) few=([100]=16 [300]=32 [1000]=128)
many=([100]=128 [300]=128 [1000]=256)
settings=(--config "$root/conf/g2p/sigmorphon2020.yaml" --set train.precision=fp32 --set train.warmup=100)
if [ $smoke = yes ]; then
    words=$data/few epochs=([10]=1 [20]=1) few=([10]=8 [20]=8) many=([10]=64 [20]=64)
    settings=(--config "$root/conf/g2p/tiny.yaml" --set train.steps=2 --set train.warmup=1)
fi

# learn FOLDER WORDS BATCH [--language LANG]: train and score a model on so many words of each language
learn() {
    local folder=$1 count=$2 batch=$3
    voxkit g2p train --train "$words/train.tsv" --dev "$words/dev.tsv" --out "$folder/g2p" --words "$count" \
        "${settings[@]}" --set "batch.words=$batch" --set "train.epochs=${epochs[$count]}" --set train.tensorboard=false \
        --set "train.score_every=${epochs[$count]}" "${@:4}"
    voxkit g2p score "$folder/g2p" "$words/test.tsv" --out "$folder/test" "${@:4}"
}

if stage 1 "Prepare the words"; then
    voxkit prepare sigmorphon2020_g2p --out "$data/sigmorphon2020"
    if [ $smoke = yes ]; then few_words "$data/sigmorphon2020" "$words"; fi
fi

if stage 2 "Train and score models of few words"; then
    languages=$(cut -f 3 "$words/train.tsv" | sort -u)
    if [ $smoke = yes ]; then languages="fre kor"; fi
    for count in $(printf '%s\n' "${!epochs[@]}" | sort -rn); do
        beside "$exp/words$count/all.log" learn "$exp/words$count/all" "$count" "${many[$count]}" \
            $(for language in $languages; do echo --language "$language"; done)
        for language in $languages; do
            beside "$exp/words$count/$language.log" learn "$exp/words$count/$language" "$count" "${few[$count]}" \
                --language "$language"
        done
    done
    settle
fi

if stage 3 "Compare"; then
    python "$root/tools/g2p_curve.py" "$exp" "$results/curve.png" >"$exp/compared.txt"
fi

finish "$exp/compared.txt"
