# What the recipes of confidence share; source it after recipe.sh and call
#
#   confidence TRAIN TEST LANG FOLDS [NOISE ...]
#
# as stages 3 to 7: a recogniser for each of FOLDS groups of TRAIN's speakers, trained on the others; each decodes those
# that it has not heard, and the first one TEST (cuts are copied into noise by `voxkit cuts add-noise NOISE ...`, if any
# is given); every system of confidence is trained on the former and judged on the latter, for each of $seeds. If $lexicon
# is set, decoding is through a language model of the transcripts that the recogniser was trained on.

# recognise FOLD
recognise() {
    local folder=$exp/fold$1 graph=$lang heard=$parts/fold-$1-of-$count/train.jsonl.gz
    if [ -n "${lexicon:-}" ]; then
        graph=$folder/lang
        voxkit make-graph --lexicon "$lexicon" --text "$heard" --order 3 --out "$graph"
    fi
    voxkit train-am --train "$heard" --lang "$lang" --out "$folder/am" "${settings[@]}"
    voxkit decode "$folder/am" "$folder/cuts" --graph "$graph" --confusion --out "$folder/decode" "${decode[@]}"
    if [ "$1" = 1 ]; then
        voxkit decode "$folder/am" "$exp/test/cuts" --graph "$graph" --confusion --out "$exp/test/decode" "${decode[@]}"
    fi
}

# learn SEED
learn() {
    voxkit score-confidence train "${trained[@]}" --dev "$exp/test/decode" --lang "$lang" --out "$exp/seed$1/confidence" \
        --ablate --set "seed=$1" --set "acoustic_net.train.seed=$1" --set "hypothesis_net.train.seed=$1" \
        --set "network.train.seed=$1" "${systems[@]}"
    voxkit score-confidence apply "$exp/seed$1/confidence" "$exp/test/decode" --out "$exp/seed$1/applied"
    voxkit score-confidence score "$exp/seed$1/applied"
}

# in_noise CUTS OUT: CUTS in noise, or as they are
in_noise() {
    if [ ${#noise[@]} = 0 ]; then voxkit cuts join "$1" --out "$2"; else voxkit cuts add-noise "$1" "${noise[@]}" --out "$2"; fi
}

confidence() {
    local train=$1 test=$2 lang=$3 count=$4 noise=("${@:5}") parts=$exp/folds fold seed trained=()
    for fold in $(seq "$count"); do trained+=(--train "$exp/fold$fold/decode"); done
    if stage 3 "Divide the speakers, add noise"; then
        voxkit cuts split "$train" --folds "$count" --out "$parts"
        for fold in $(seq "$count"); do
            in_noise "$parts/fold-$fold-of-$count/held_out.jsonl.gz" "$exp/fold$fold/cuts"
        done
        in_noise "$test" "$exp/test/cuts"
    fi
    if stage 4 "Train recognisers and decode who they have not heard"; then
        for fold in $(seq "$count"); do beside "$exp/fold$fold/log" recognise "$fold"; done
        settle
    fi
    if stage 5 "Train and compare confidences"; then
        for seed in $seeds; do beside "$exp/seed$seed/log" learn "$seed"; done
        settle
        python "$root/tools/confidence_table.py" --exp "$exp" --seeds "$seeds" --out "$exp/results"
        seed=${seeds%% *}
        picture "$exp/seed$seed/applied/reliability.png" 1_reliability
        picture "$exp/seed$seed/applied/det.png" 2_det
    fi
}
