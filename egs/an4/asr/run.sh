#!/usr/bin/env bash
# AN4 (spelled words, numbers, commands): train on the official 948 utterances, decode the official 130, score.
# The corpus is looked for in $VOXKIT_DATA/an4 and otherwise fetched from its repository. The scales of decoding
# (conf/decode/an4.yaml) and all else were tuned on speakers held out of the training part, as tune.sh does. Side by
# side: with the dictionary, and with pronunciations of its words by g2p, which has not seen them and learns from
# CMUdict (in $VOXKIT_DATA/cmudict, otherwise fetched from its repository). Last, the acoustic model in 8 and 4 bits.
extras=export
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"

an4=$data/an4 lang=$exp/lang
settings=(--config "$root/conf/train_am/an4.yaml") decode=(--config "$root/conf/decode/an4.yaml")
shown=an406-fcaw-b pronounce=(--set train.epochs=5 --set train.score_every=5)
if [ $smoke = yes ]; then
    shown=worst
    settings=(--config "$root/conf/train_am/tiny.yaml" --set train.steps=8)
    pronounce=(--config "$root/conf/g2p/tiny.yaml" --words 100)
fi

if stage 1 "Prepare the corpus"; then
    voxkit prepare an4 --out "$an4"
fi

if stage 2 "Build the decoding graph"; then
    voxkit make-graph --lexicon "$an4/lexicon.txt" --text "$an4/text_train.txt" --order 3 --out "$lang"
fi

if stage 3 "Train the acoustic model"; then
    for seed in $seeds; do
        in_two train-am --train "$an4/cuts_train.jsonl.gz" --lang "$lang" \
            --out "$exp/seed$seed/am" --seed "$seed" "${settings[@]}"
    done
fi

if stage 4 "Decode and score"; then
    for seed in $seeds; do
        # one process, so that the real-time factor is that of one core
        voxkit decode "$exp/seed$seed/am" "$an4/cuts_test.jsonl.gz" --graph "$lang" \
            --out "$exp/seed$seed/decode" "${decode[@]}" --plot "$shown" --plot worst
        asr_pictures "$exp/seed$seed" "$shown"
    done
fi

if stage 5 "Decode by minimum Bayes risk"; then
    for seed in $seeds; do
        voxkit decode "$exp/seed$seed/am" "$an4/cuts_test.jsonl.gz" --graph "$lang" --out "$exp/seed$seed/mbr" \
            "${decode[@]}" --method mbr --plot "$shown"
    done
    picture "$exp/seed${seeds%% *}/mbr/plots/$shown.png" 5_confusion_network
fi

# No word of the dictionary is learnt, nor one that needs other phones than the acoustic model's. Single letters, whose
# names no spelling tells, stay as they are.
if stage 6 "Learn to pronounce from CMUdict without the words of AN4"; then
    voxkit prepare cmudict --out "$data/cmudict"
    for part in train dev; do
        awk 'FNR == 1 { file++ } file == 1 { phone[$1] } file == 2 { known[tolower($1)] }
            file == 3 && !(tolower($1) in known) {
                split($0, columns, "\t"); said = columns[2]; gsub(/[0-9]/, "", said); count = split(said, phones, " ")
                for (place = 1; place <= count && phones[place] in phone;) place++
                if (place > count) print
            }' "$lang/tokens.txt" "$an4/lexicon.txt" "$data/cmudict/$part.tsv" >"$data/unheard_$part.tsv"
    done
    in_two g2p train --train "$data/unheard_train.tsv" --dev "$data/unheard_dev.tsv" --out "$exp/g2p" \
        --config "$root/conf/g2p/small.yaml" --set phones.stress=drop "${pronounce[@]}"
fi

if stage 7 "Decode with pronunciations that it gives"; then
    cut -d ' ' -f 1 "$an4/lexicon.txt" | sort -u >"$exp/words.txt"
    grep -v '^[A-Z] ' "$an4/lexicon.txt" >"$exp/unheard.txt"
    voxkit g2p score "$exp/g2p" "$exp/unheard.txt" --out "$exp/g2p_score"
    # of every word, or of every fourth, as when some new ones are added
    for every in 1 4; do
        awk -v every=$every '{ if (length($1) == 1) { print; next } if ($1 != last) { last = $1; number++ } }
            number % every' "$an4/lexicon.txt" >"$exp/known$every.txt"
        voxkit g2p apply "$exp/g2p" "$exp/words.txt" --known "$exp/known$every.txt" --with-known --nbest 3 --least 0.1 \
            --out "$exp/pronounced$every"
        voxkit make-graph --lexicon "$exp/pronounced$every/lexicon.txt" --tokens "$lang" --text "$an4/text_train.txt" \
            --order 3 --out "$exp/lang_g2p$every"
        for seed in $seeds; do
            voxkit decode "$exp/seed$seed/am" "$an4/cuts_test.jsonl.gz" --graph "$exp/lang_g2p$every" \
                --out "$exp/seed$seed/decode_g2p$every" "${decode[@]}"
        done
    done
fi

if stage 8 "Store the acoustic model in 8 and in 4 bits, and run it in int8"; then
    for seed in $seeds; do
        folder=$exp/seed$seed
        voxkit quantize "$folder/am" --bits 8 --per channel --range mse --out "$folder/am_8bit"
        voxkit quantize "$folder/am" --bits 4 --per channel --range mse --out "$folder/am_4bit"
        voxkit quantize "$folder/am" --int8 --per channel --calibrate "$an4/cuts_train.jsonl.gz" --out "$folder/am_int8" \
            --report
        for kind in 8bit 4bit int8; do
            voxkit decode "$folder/am_$kind" "$an4/cuts_test.jsonl.gz" --graph "$lang" --out "$folder/decode_$kind" \
                "${decode[@]}"
        done
    done
    first=$exp/seed${seeds%% *}
    printf 'acoustic model\tfile [bytes]\tWER\n' >"$results/8_bits.tsv"
    for kind in "" _8bit _4bit _int8; do
        wer=$(grep -m 1 -o '%WER [0-9.]* \[[^]]*\]' "$first/decode$kind/scores.txt")
        printf '%s\t%s\t%s\n' "am$kind" "$(stat -c %s "$first/am$kind/bundle"/model.*)" "$wer" >>"$results/8_bits.tsv"
    done
fi

finish $(for seed in $seeds; do
    for how in decode decode_g2p4 decode_g2p1 mbr decode_8bit decode_4bit decode_int8; do echo "$exp/seed$seed/$how/scores.txt"; done
done) "$exp/g2p_score/scores.txt"
