#!/usr/bin/env bash
# Language models of several corpora for one domain, dialogue: by which weights are corpora drawn from, and what does
# fine-tuning add? War and Peace, Shakespeare, Wikipedia, MultiWOZ and Topical-Chat; in-domain are the last two. Noise
# contrastive estimation with weights by EM, all equal and by size, each before and after fine-tuning, beside n-gram
# models, cross-entropy, sampled cross-entropy, a Transformer, and a model of the domain's text alone. Then the speed at
# a vocabulary of 50 000 words. The corpora are looked for in $VOXKIT_DATA, CMUdict too, whose words fill up that
# vocabulary.
default_seeds="0 1 2" extras=
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"

names="lm_war_and_peace lm_tinyshakespeare lm_wikitext2 multiwoz21 topical_chat" domain="multiwoz21 topical_chat"
settings=(--config "$root/conf/lm_nce/corpora.yaml") tuned=(--config "$root/conf/lm_nce/corpora_tuned.yaml")
systems="em uniform size" others="softmax sampled transformer domain" order=5
bench=(--config "$root/conf/lm_nce/large.yaml")
if [ $smoke = yes ]; then
    settings=(--config "$root/conf/lm_nce/tiny.yaml" --set data.normaliser=asr_en) tuned=("${settings[@]}")
    systems="em uniform" others="transformer domain" order=3
    bench=(--config "$root/conf/lm_nce/tiny.yaml" --size 2000)
fi
text=$data/text first=${seeds%% *}

# corpora NAME ...: the options for their training parts
corpora() { local name; for name in "$@"; do echo "--corpus $name=$text/$name.train.txt"; done; }

# learn SYSTEM SEED: trains on all corpora, then goes on with those of the domain
learn() {
    local folder=$exp/systems/$1/seed$2 weights=() kind=() from=$names
    case $1 in
        em | uniform | size) weights=(--weights "$1") ;;
        softmax | sampled) kind=(--objective "$1") ;;
        transformer) kind=(--set model.kind=transformer --set model.layers=2) ;;
        domain) from=$domain kind=(--words "$exp/words.txt") ;;
    esac
    voxkit lm-nce train $(corpora $from) --dev "$text/dev.txt" --out "$folder/all" --seed "$2" \
        "${settings[@]}" "${weights[@]}" "${kind[@]}"
    if [ "$1" = domain ]; then kind=(); fi # the words are those of --init
    voxkit lm-nce train $(corpora $domain) --dev "$text/dev.txt" --init "$folder/all" --out "$folder/tuned" \
        --seed "$2" "${tuned[@]}" "${kind[@]}"
}

# ngram NAME OPTION ...: an n-gram model with the words that the networks know
ngram() {
    voxkit lm-nce ngram "${@:2}" --dev "$text/dev.txt" --order $order --normaliser asr_en --words "$exp/words.txt" \
        --out "$exp/ngram/$1"
}

if stage 1 "Prepare the corpora"; then
    mkdir -p "$text"
    rm -f "$text/dev.txt" "$text/test.txt"
    for name in $names; do
        voxkit prepare "$name" --out "$data/$name"
        if [ $smoke = yes ]; then
            head -n 300 "$data/$name/train.txt" >"$text/$name.train.txt"
        else
            cp "$data/$name/train.txt" "$text/$name.train.txt"
        fi
    done
    for name in $domain; do # an eighth of the test text of Topical-Chat, which is 12 times as long as that of MultiWOZ
        step=1 some=1
        if [ $name = topical_chat ]; then step=8; fi
        if [ $smoke = yes ]; then step=50 some=10; fi
        awk -v n=$step 'NR % n == 1 || n == 1' "$data/$name/test.txt" >>"$text/test.txt"
        awk -v n=$some 'NR % n == 1 || n == 1' "$data/$name/dev.txt" >>"$text/dev.txt"
    done
    shuf --random-source=<(yes) "$text/dev.txt" --output "$text/dev.txt" # the first are scored while training
fi

if stage 2 "Train and fine-tune"; then
    for seed in $seeds; do
        for system in $systems; do beside "$exp/systems/$system/seed$seed.log" learn "$system" "$seed"; done
    done
    settle
fi

if stage 3 "Other objectives, and a Transformer"; then
    # all know the same words, so that their perplexities are of the same
    python -c 'import json, sys; print(*json.load(open(sys.argv[1]))["tokens"][3:], sep="\n")' \
        "$exp/systems/em/seed$first/all/bundle/assets/vocabulary.json" >"$exp/words.txt"
    for system in $others; do beside "$exp/systems/$system/seed$first.log" learn "$system" "$first"; done
    settle
fi

if stage 4 "n-gram models"; then
    cat "$text"/*.train.txt >"$text/all.txt"
    for name in $names; do ngram "$name" $(corpora "$name"); done
    ngram all --corpus "all=$text/all.txt"
    ngram mixture $(corpora $names)
fi

if stage 5 "Score"; then
    for system in $systems $others; do
        for model in "$exp/systems/$system"/seed*/{all,tuned}; do
            voxkit lm-nce score "$model" "$text/test.txt" --out "$model.test"
        done
    done
    best=$exp/systems/em/seed$first/tuned with=(--arpa "$exp/ngram/mixture/lm.arpa") # mixed with the n-gram model
    voxkit lm-nce score "$best" "$text/dev.txt" "${with[@]}" --out "$best.mixed.dev"
    weight=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["comparison"]["weight"])' \
        "$best.mixed.dev/score.json")
    voxkit lm-nce score "$best" "$text/test.txt" "${with[@]}" --weight "$weight" --out "$best.mixed.test"
fi

if stage 6 "Measure the speed at a large vocabulary"; then
    voxkit prepare cmudict --out "$data/cmudict"
    cut -f 1 "$data/cmudict"/{train,dev,test}.tsv >"$data/cmudict.txt"
    head -n 500 "$data/multiwoz21/dev.txt" >"$text/fast_dev.txt"
    python "$root/tests/bench/lm_nce.py" "$text/multiwoz21.train.txt" "$text/fast_dev.txt" --words "$data/cmudict.txt" \
        --out "$exp/speed" "${bench[@]}" | tee "$exp/speed.txt"
fi

if stage 7 "Compare"; then
    python "$root/tools/lm_table.py" --exp "$exp" --test "$text/test.txt" --seeds "$seeds" --out "$results"
    picture "$exp/systems/em/seed$first/all/curves.png" 2_training
    picture "$exp/systems/em/seed$first/tuned.test/ln_z.png" 3_ln_z
fi

finish "$results/scores.txt" "$exp/speed.txt"
