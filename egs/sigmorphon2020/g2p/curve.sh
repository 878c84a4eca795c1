#!/usr/bin/env bash
# What sharing a model is worth: models of one language and of all fifteen, of the same size, trained on 100, 300, 1000
# and all 3600 words of each language, compared on the official test part of every other language. With all words the
# models are larger: the shared one is that of run.sh, which comes first, and those of one language, of every fourth, have
# its shape. Then it and they together, as an ensemble. The weights are in all cases those that were best on dev.
extras=
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"
. "$root/tools/g2p.sh"

all=3600 sizes="1000 300 100" words=$data/sigmorphon2020 small=(--config "$root/conf/g2p/small.yaml")
large=(--config "$root/conf/g2p/sigmorphon2020.yaml" --set train.score_every=4) shared=$exp/seed${seeds%% *}
# epochs and words in a batch: of one language, and of all
one_epochs=([100]=50 [300]=30 [1000]=15 [3600]=12) one_batch=([100]=16 [300]=32 [1000]=32 [3600]=32)
all_epochs=([100]=30 [300]=15 [1000]=15) all_batch=([100]=64 [300]=64 [1000]=128)
if [ $smoke = yes ]; then
    all=20 sizes=10 words=$data/few small=(--config "$root/conf/g2p/tiny.yaml" --set train.steps=2 --set train.warmup=1)
    large=("${small[@]}") one_epochs=([10]=1 [20]=1) one_batch=([10]=8 [20]=8) all_epochs=([10]=1) all_batch=([10]=64)
fi

if [ "$last_stage" -ge 4 ] && ! [ -f "$shared/test_given/predictions.tsv" ]; then
    echo "error: no model of all words in $shared; fix: run run.sh first, with the same --exp" >&2
    exit 2
fi

# learn FOLDER WORDS EPOCHS BATCH OPTION ...: train and score a model on so many words of each language
learn() {
    local folder=$1 count=$2 epochs=$3 batch=$4 only=()
    if [ "$(basename "$folder")" != all ]; then only=(--language "$(basename "$folder")"); fi
    voxkit g2p train --train "$words/train.tsv" --dev "$words/dev.tsv" --out "$folder/g2p" --words "$count" "${only[@]}" \
        --set train.warmup=50 --set train.tensorboard=false --set "batch.words=$batch" --set "train.epochs=$epochs" \
        --set train.score_every=10 "${@:5}"
    voxkit g2p score "$folder/g2p" "$words/test.tsv" --out "$folder/test" "${only[@]}"
}

if stage 1 "Prepare the words"; then
    voxkit prepare sigmorphon2020_g2p --out "$data/sigmorphon2020"
    if [ $smoke = yes ]; then few_words "$data/sigmorphon2020" "$words"; fi
fi
languages=$(cut -f 3 "$words/train.tsv" | sort -u | awk 'NR % 2')
if [ $smoke = yes ]; then languages="fre kor"; fi
larger=$(printf '%s\n' $languages | awk 'NR % 2')

if stage 2 "Train and score models of few words"; then
    for count in $sizes; do
        beside "$exp/words$count/all.log" learn "$exp/words$count/all" "$count" "${all_epochs[$count]}" \
            "${all_batch[$count]}" "${small[@]}"
        for language in $languages; do
            beside "$exp/words$count/$language.log" learn "$exp/words$count/$language" "$count" "${one_epochs[$count]}" \
                "${one_batch[$count]}" "${small[@]}"
        done
    done
    settle
fi

if stage 3 "Train and score models of one language on all its words"; then
    for language in $larger; do
        beside "$exp/words$all/$language.log" learn "$exp/words$all/$language" "$all" "${one_epochs[$all]}" \
            "${one_batch[$all]}" "${large[@]}"
    done
    settle
fi

if stage 4 "Compare"; then
    python "$root/tools/g2p_curve.py" "$exp" "$results/curve.png" --shared "$all" "$shared/g2p" "$shared/test_given" \
        >"$exp/compared.txt"
fi

if stage 5 "Pronounce with all models together"; then
    also=()
    for language in $larger; do also+=(--also "$exp/words$all/$language/g2p"); done
    voxkit g2p score "$shared/g2p" "$words/test.tsv" "${also[@]}" --out "$exp/ensemble"
fi

finish "$exp/compared.txt" "$exp/ensemble/scores.txt"
