#!/usr/bin/env bash
# The main job on the embedded corpus: speak it, featurize, train, build the graph, decode unseen sentences of unseen
# voices, score. Needs nothing but this repository.
extras=demo
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"

size=() settings=()
shown=en-us-m6-test000000
if [ $smoke = yes ]; then
    shown=worst
    size=(--set hours=0.05 --set lm_sentences=500)
    settings=(--config "$root/conf/train_am/tiny.yaml" --set train.epochs=1)
else
    settings=(--config "$root/conf/train_am/mini.yaml")
fi
mini=$data/mini lang=$exp/lang

if stage 1 "Speak and prepare the corpus"; then
    voxkit prepare mini --out "$mini" --num-jobs "$num_jobs" "${size[@]}"
fi

if stage 2 "Compute features"; then
    for part in train dev test; do
        voxkit featurize "$mini/cuts_$part.jsonl.gz" --out "$data/fbank/$part" --num-jobs "$num_jobs"
    done
fi

if stage 3 "Build the decoding graph"; then
    voxkit make-graph --lexicon "$mini/lexicon.txt" --text "$mini/text_train.txt" --out "$lang"
fi

if stage 4 "Train the acoustic model"; then
    for seed in $seeds; do
        in_two train-am --train "$data/fbank/train" --dev "$data/fbank/dev" --lang "$lang" \
            --out "$exp/seed$seed/am" --seed "$seed" "${settings[@]}"
    done
fi

if stage 5 "Decode and score"; then
    for seed in $seeds; do
        voxkit decode "$exp/seed$seed/am" "$data/fbank/test" --graph "$lang" --out "$exp/seed$seed/decode" \
            --num-jobs "$num_jobs" --plot "$shown" --plot worst
        cp "$exp/seed$seed/decode/by_dialect.tsv" "$exp/results/"
        asr_pictures "$exp/seed$seed" "$shown"
    done
fi

finish $(for seed in $seeds; do echo "$exp/seed$seed/decode/scores.txt"; done)
