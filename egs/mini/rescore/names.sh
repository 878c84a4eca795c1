#!/usr/bin/env bash
# Do the names that a user means survive rescoring? Commands to a voice assistant (SNIPS), spoken by the embedded voices
# in noise and recognised by the acoustic model of run.sh, which comes first. The names of artists, playlists, films and
# the like in dev and test are the users'. The first pass has their names, and those of the training commands, in its
# n-gram model; the neural models have never seen the former. One knows words alone; the other one also knows where a
# name may come, and rescores without and with the list of the users' names. SNIPS is looked for in $VOXKIT_DATA/snips.
extras="demo export"
default_seeds="0 1 2"
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"

texts=$data/names spoken=$data/names_spoken home=$exp/names first=$exp/names/first
size=(--set train_hours=0.02 --set dev_hours=1 --set test_hours=1 --set "snr=[-5,20]" --set clean=0.1)
language=(--config "$root/conf/lm_nce/commands.yaml")
decode=(--config "$exp/first/tuned/decode.yaml")
grid=(--set "tune.graph=[0,0.25,0.5,0.75,1,1.25,1.5,2]" --set "tune.lm=[0,0.25,0.5,0.75,1,1.5,2,2.5]"
    --set "tune.penalty=[-4,-3,-2,-1.5,-1,-0.5,0,0.5]")
if [ $smoke = yes ]; then
    size=(--set train_hours=0.01 --set dev_hours=0.01 --set test_hours=0.01 --set clean=1 --set "dialects=[en-us]")
    decode=(--set search.blank_penalty=5) # words, right or wrong, from next to nothing
    language=(--config "$root/conf/lm_nce/tiny.yaml" --set data.normaliser=asr_en)
fi

if [ "$last_stage" -ge 3 ] && ! [ -d "$exp/am/bundle" ]; then
    echo "error: no acoustic model in $exp/am; fix: run run.sh first, with the same --exp" >&2
    exit 2
fi

# rescore MODEL OUT [OPTION ...]: finds the weights on dev, rescores test
rescore() {
    voxkit lm-nce rescore "$1" "$first/dev" --nbest 50 --tune --out "$2.dev" "${grid[@]}" "${@:3}"
    voxkit lm-nce rescore "$1" "$first/test" --nbest 50 --config "$2.dev/rescore.yaml" --out "$2" "${@:3}"
}

# learn SEED: a model of words, and one that has classes too, whose dev text has them in the place of all names
learn() {
    voxkit lm-nce train --corpus "commands=$texts/train.txt" --dev "$texts/dev.txt" --out "$home/seed$1/lm_words" \
        --seed "$1" "${language[@]}"
    voxkit lm-nce train --corpus "commands=$texts/train.txt" --dev "$texts/dev_classes.txt" \
        --out "$home/seed$1/lm_classes" --classes "$texts/classes.tsv" --seed "$1" "${language[@]}"
}

if stage 1 "Prepare the texts and speak"; then
    voxkit prepare snips --out "$data/snips"
    python "$root/tools/names_text.py" "$data/snips" --out "$texts"
    voxkit prepare spoken --out "$spoken" --num-jobs "$num_jobs" --text train="$texts/train.txt" \
        --text dev="$texts/dev.txt" --text test="$texts/test.txt" --text lexicon="$texts/users.txt" "${size[@]}"
fi

if stage 2 "Compute features"; then
    for part in dev test; do
        voxkit featurize "$spoken/cuts_$part.jsonl.gz" --out "$data/names_fbank/$part" --num-jobs "$num_jobs"
    done
fi

if stage 3 "Build the decoding graph"; then
    voxkit lm-nce ngram --corpus "commands=$spoken/text_train.txt" --corpus "users=$texts/users.txt" \
        --dev "$spoken/text_dev.txt" --order 3 --normaliser asr_en --out "$home/lm"
    # some names have sounds that the acoustic model has never heard: such pronunciations are left out
    voxkit make-graph --lexicon "$spoken/lexicon.txt" --arpa "$home/lm/lm.arpa" --tokens "$exp/lang" \
        --dev-text "$spoken/text_dev.txt" --max-bad 0.01 --out "$home/lang"
fi

if stage 4 "Decode"; then
    for part in dev test; do
        voxkit decode "$exp/am" "$data/names_fbank/$part" --graph "$home/lang" --out "$first/$part" "${decode[@]}"
    done
fi

if stage 5 "Train the language models"; then
    for seed in $seeds; do beside "$home/seed$seed/learn.log" learn "$seed"; done
    settle
fi

if stage 6 "Rescore"; then
    for seed in $seeds; do
        rescore "$home/seed$seed/lm_words" "$home/seed$seed/words"
        rescore "$home/seed$seed/lm_classes" "$home/seed$seed/classes"
        rescore "$home/seed$seed/lm_classes" "$home/seed$seed/names" --names "$texts/names.tsv"
        # the weights that suit this, where the model does not know the names
        voxkit lm-nce rescore "$home/seed$seed/lm_words" "$first/test" --nbest 50 \
            --config "$home/seed$seed/names.dev/rescore.yaml" --out "$home/seed$seed/words_strong"
    done
fi

if stage 7 "Compare"; then
    python "$root/tools/names_table.py" --exp "$home" --names "$texts/test_names.tsv" --seeds "$seeds" --out "$results"
    picture "$home/seed${seeds%% *}/lm_classes/curves.png" 2_language_model
fi

finish "$results/scores.txt"
