#!/usr/bin/env bash
# Six wake words (45 clips of each, by speakers who are not named) told by a full-band and by a sub-band network in
# 5-fold cross-validation by clip, and spotted in a stream: the clips that a model has not heard, between stretches of
# speech of someone that it has not heard either. What is no wake word is learnt from other people's speech, the class
# `background`. Corpora are looked for in $VOXKIT_DATA: wake_words, librispeech_mini and kathleen_en.
default_seeds="0 1 2"
extras=export
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"
. "$root/tools/spoken_term.sh"

words=$data/wake_words parts=$data/folds folds=5 speech=train threshold=0.7 seed0=${seeds%% *}
settings=(--config "$root/conf/spoken_term/wake_words.yaml")
declare -A networks=([full]="model.bands=1" [subband]="model.bands=2 model.split=all model.channels=[24,32,40]")
if [ $smoke = yes ]; then
    networks[subband]="model.bands=2"
    folds=2 speech=test threshold=0.01
    settings=(--config "$root/conf/spoken_term/tiny.yaml" --set clip.seconds=2 --set train.steps=8)
fi

# spot NAME FOLD: what the first seed's model reports of the fold's recording
spot() {
    local folder=$exp/stream/$1/fold$2
    mkdir -p "$folder"
    ln -sf "$data/stream/$2"/{long.wav,reference.tsv} "$folder"
    voxkit spoken-term apply "$exp/folds/$1/seed$seed0/fold$2/model" "$folder/long.wav" --stream --hop 0.2 \
        --set smoothing=0.6 --set refractory=1 --threshold $threshold --background background >"$folder/heard.tsv"
}

if stage 1 "Prepare the corpora, the folds and the recordings"; then
    voxkit prepare wake_words --out "$words"
    voxkit prepare librispeech_mini --out "$data/others"
    voxkit prepare kathleen_en --out "$data/speech"
    voxkit cuts split "$words/cuts_all.jsonl.gz" --by cut --folds $folds --out "$data/words"
    python "$root/tools/keyword_stream.py" pieces "$data/others/cuts_all.jsonl.gz" "$data/background.jsonl.gz"
    for fold in $(seq $folds); do
        source=$data/words/fold-$fold-of-$folds part=$parts/fold-$fold-of-$folds
        voxkit cuts join "$source/train.jsonl.gz" "$data/background.jsonl.gz" --out "$data/joined/$fold"
        mkdir -p "$part"
        ln -sf "$data/joined/$fold/cuts.jsonl.gz" "$part/train.jsonl.gz"
        ln -sf "$source/held_out.jsonl.gz" "$part/held_out.jsonl.gz"
        python "$root/tools/keyword_stream.py" record "$source/held_out.jsonl.gz" "$data/speech/cuts_$speech.jsonl.gz" \
            "$data/stream/$fold"
    done
fi

if stage 2 "Train both networks, each fold left out"; then
    for seed in $seeds; do
        for name in full subband; do over_folds "$parts" $folds $name "$seed" "${networks[$name]}"; done
    done
    settle
fi

if stage 3 "Compare accuracy and cost"; then
    python "$root/tools/spoken_term_table.py" --exp "$exp" --seeds "$seeds" --out "$results" \
        --part folds "clips left out"
    first=$exp/folds/subband/seed$seed0/fold1
    picture "$first/model/curves.png" 1_training
    picture "$first/score/confusion.png" 2_confusions
fi

if stage 4 "Spot the words in streams"; then
    for name in full subband; do
        heard=()
        for fold in $(seq $folds); do
            heard+=("$exp/stream/$name/fold$fold")
            beside "${heard[-1]}.log" spot $name "$fold"
        done
        settle
        python "$root/tools/keyword_stream.py" score "$results/stream_$name.txt" "${heard[@]}" --threshold $threshold \
            --what "$name, stream"
    done
fi

finish "$results/scores.txt" "$results"/stream_{full,subband}.txt
