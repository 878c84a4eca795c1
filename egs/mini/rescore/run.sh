#!/usr/bin/env bash
# What does a neural language model of several corpora add to a recogniser? Users of MultiWOZ, spoken by the embedded
# voices in noise; the first pass has a trigram model of their training text. The neural model learns from the dialogues,
# Topical-Chat and three books, and then from the users alone; it rescores the 50 best, and lattices, as it is, with
# weights of 8 bits, and in int8. Then the first pass learns from text that the neural model makes up, or from all the
# texts, and is rescored too. The texts are looked for in $VOXKIT_DATA.
extras="demo export"
default_seeds="0 1 2"
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"

books="lm_war_and_peace lm_tinyshakespeare lm_wikitext2" others="topical_chat $books"
spoken=$data/spoken woz=$data/multiwoz21 first=$exp/first
size=(--set train_hours=1.25 --set dev_hours=1 --set test_hours=1 --set "snr=[-5,20]" --set clean=0.1)
acoustic=(--config "$root/conf/train_am/mini.yaml" --set train.epochs=10 --set train.score_every=10)
language=(--config "$root/conf/lm_nce/rescore.yaml") tuned=(--config "$root/conf/lm_nce/rescore_tuned.yaml")
made_up=300000 decode=(--config "$first/tuned/decode.yaml")
if [ $smoke = yes ]; then
    size=(--set train_hours=0.1 --set dev_hours=0.01 --set test_hours=0.01 --set clean=1 --set "dialects=[en-us]")
    acoustic=(--config "$root/conf/train_am/mini.yaml" --set train.steps=250 --set train.warmup=20 --set model.width=96)
    decode=(--set search.blank_penalty=5) # words, right or wrong, from next to nothing
    language=(--config "$root/conf/lm_nce/tiny.yaml" --set data.normaliser=asr_en) tuned=("${language[@]}")
    made_up=2000
fi

# recognise GRAPH OUT: dev and test
recognise() {
    local part
    for part in dev test; do
        voxkit decode "$exp/am" "$data/fbank/$part" --graph "$1" --out "$2/$part" "${decode[@]}"
    done
}

# rescore MODEL DECODED OUT [OPTION ...]: finds the weights on dev (once), rescores test
rescore() {
    voxkit lm-nce rescore "$1" "$2/dev" --nbest 50 --tune --out "$3.dev"
    voxkit lm-nce rescore "$1" "$2/test" --nbest 50 --config "$3.dev/rescore.yaml" --out "$3" "${@:4}"
}

# corpora: the options for all texts
corpora() {
    local name
    echo "--corpus users=$woz/user_train.txt --corpus multiwoz21=$woz/train.txt"
    if [ $smoke != yes ]; then for name in $others; do echo "--corpus $name=$data/$name/train.txt"; done; fi
}

# learn SEED: on all texts, and then on those of users
learn() {
    voxkit lm-nce train $(corpora) --dev "$spoken/text_dev.txt" --out "$exp/seed$1/all" --seed "$1" "${language[@]}"
    voxkit lm-nce train --corpus "users=$woz/user_train.txt" --dev "$spoken/text_dev.txt" --init "$exp/seed$1/all" \
        --out "$exp/seed$1/lm" --seed "$1" "${tuned[@]}"
    voxkit lm-nce score "$exp/seed$1/lm" "$spoken/text_test.txt" --arpa "$exp/lang/lm.arpa" --out "$exp/seed$1/score"
}

# make_up SEED: text of the neural model, and a graph of an n-gram model of it and of what users said
make_up() {
    local folder=$exp/seed$1
    voxkit lm-nce sample "$folder/lm" --words "$made_up" --seed "$1" --out "$folder/made_up.txt"
    voxkit lm-nce ngram --corpus "users=$spoken/text_train.txt" --corpus "made_up=$folder/made_up.txt" \
        --dev "$spoken/text_dev.txt" --order 3 --normaliser asr_en --words "$exp/lang/words.txt" --out "$folder/made_up_lm"
    voxkit make-graph --lexicon "$spoken/lexicon.txt" --arpa "$folder/made_up_lm/lm.arpa" --tokens "$exp/lang" \
        --dev-text "$spoken/text_dev.txt" --out "$folder/lang"
}

if stage 1 "Prepare the texts and speak"; then
    for name in multiwoz21 $others; do voxkit prepare "$name" --out "$data/$name"; done
    voxkit prepare spoken --out "$spoken" --num-jobs "$num_jobs" --text train="$woz/user_train.txt" \
        --text dev="$woz/user_dev.txt" --text test="$woz/user_test.txt" "${size[@]}"
fi

if stage 2 "Compute features"; then
    for part in train dev test; do
        voxkit featurize "$spoken/cuts_$part.jsonl.gz" --out "$data/fbank/$part" --num-jobs "$num_jobs"
    done
fi

if stage 3 "Build the decoding graph"; then
    voxkit make-graph --lexicon "$spoken/lexicon.txt" --text "$spoken/text_train.txt" --dev-text "$spoken/text_dev.txt" \
        --out "$exp/lang"
fi

if stage 4 "Train the acoustic model"; then
    voxkit train-am --train "$data/fbank/train" --dev "$data/fbank/dev" --lang "$exp/lang" --out "$exp/am" \
        "${acoustic[@]}"
fi

if stage 5 "Find the scales on dev, and decode"; then
    if [ $smoke = no ]; then
        voxkit decode "$exp/am" "$data/fbank/dev" --graph "$exp/lang" --tune --out "$first/tuned" \
            --set "tune.acoustic_scales=[0.7,1.0,1.4]" --set "tune.blank_penalties=[1,2,3]"
    fi
    recognise "$exp/lang" "$first"
fi

if stage 6 "Train the language models"; then
    for seed in $seeds; do beside "$exp/seed$seed/learn.log" learn "$seed"; done
    settle
fi

if stage 7 "Rescore"; then
    for seed in $seeds; do
        folder=$exp/seed$seed
        rescore "$folder/lm" "$first" "$folder/nbest"
        voxkit lm-nce rescore "$folder/lm" "$first/test" --method lattice --config "$folder/nbest.dev/rescore.yaml" \
            --out "$folder/lattice"
        voxkit quantize "$folder/lm" --bits 8 --out "$folder/lm8"
        voxkit lm-nce rescore "$folder/lm8" "$first/test" --config "$folder/nbest.dev/rescore.yaml" --out "$folder/nbest8"
        voxkit quantize "$folder/lm" --int8 --calibrate "$spoken/text_dev.txt" --out "$folder/lm_int8"
        voxkit lm-nce rescore "$folder/lm_int8" "$first/test" --config "$folder/nbest.dev/rescore.yaml" \
            --out "$folder/nbest_int8"
    done
fi

if stage 8 "Decode with made-up text, and rescore"; then
    for seed in $seeds; do
        folder=$exp/seed$seed
        make_up "$seed"
        recognise "$folder/lang" "$folder/first"
        rescore "$folder/lm" "$folder/first" "$folder/made_up_nbest"
    done
fi

# how much of it is the texts, and not the network
if stage 9 "Decode with an n-gram model of all texts, and rescore"; then
    voxkit lm-nce ngram $(corpora) --dev "$spoken/text_dev.txt" --order 3 --normaliser asr_en \
        --words "$exp/lang/words.txt" --out "$exp/all/lm"
    voxkit make-graph --lexicon "$spoken/lexicon.txt" --arpa "$exp/all/lm/lm.arpa" --tokens "$exp/lang" \
        --dev-text "$spoken/text_dev.txt" --out "$exp/all/lang"
    recognise "$exp/all/lang" "$exp/all"
    for seed in $seeds; do rescore "$exp/seed$seed/lm" "$exp/all" "$exp/seed$seed/all_nbest"; done
fi

if stage 10 "Compare"; then
    python "$root/tools/rescore_table.py" --exp "$exp" --seeds "$seeds" --out "$results"
    picture "$exp/am/curves.png" 1_acoustic_model
    picture "$exp/seed${seeds%% *}/lm/curves.png" 2_language_model
fi

finish "$results/scores.txt"
