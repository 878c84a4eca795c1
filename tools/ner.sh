# What recipes of named entities share; source it after recipe.sh. `settings` holds the options of all trainings, `few`
# and `passes` those for few sentences.
. "$root/tools/g2p.sh"

# every way to make a word's vector; words_cased are words of which upper and lower case are different ones
systems="words words_cased chars phones bytes chars+phones chars+bytes phones+bytes chars+phones+bytes words+chars words+phones
words+bytes words+chars+phones words+chars+bytes words+phones+bytes words+chars+phones+bytes"
if [ $smoke = yes ]; then systems="words chars+bytes words+chars+phones+bytes"; fi

# few_sentences FROM TO: every tenth sentence of the dev and test part, and so many of the training, for smoke runs
few_sentences() {
    mkdir -p "$2"
    local part step
    for part in train dev test; do
        if [ $part = train ]; then step=100; else step=10; fi
        awk -v n=$step 'BEGIN { RS = ""; ORS = "\n\n" } NR % n == 1' "$1/$part.conll" >"$2/$part.conll"
    done
}

# prepared CORPUS WORDS: the sentences of a corpus of entities, and words with their pronunciations; few for smoke runs
prepared() {
    voxkit prepare "$1" --out "$data/$1"
    voxkit prepare "$2" --out "$data/$2"
    if [ $smoke = yes ]; then
        few_sentences "$data/$1" "$sentences"
        few_words "$data/$2" "$words"
    fi
}

# pronouncer OUT OPTION ...: a model that pronounces words, in 8 bits: it becomes part of every model with phones
pronouncer() {
    voxkit g2p train --out "$1/float" --config "$root/conf/g2p/pocket.yaml" "${@:2}"
    voxkit quantize "$1/float" --bits 8 --per channel --out "$1/g2p"
}

# learn FOLDER SYSTEM SEED OPTION ...: trains on $sentences/train.conll into FOLDER/ner, and scores on test
learn() {
    local folder=$1 units=${2//+/,} own=() known=(--train "$sentences/train.conll")
    case $2 in
        *phones*) own=(--g2p "$exp/pronouncer/g2p") ;;
        words_cased) units=words own=(--set words.lower=false) ;;
    esac
    case " $* " in *" --share "*) known=() ;; esac # which entities such a model has seen is not in that file
    voxkit ner train --train "$sentences/train.conll" --dev "$sentences/dev.conll" --out "$folder/ner" \
        --units "$units" --seed "$3" "${own[@]}" "${settings[@]}" "${@:4}"
    voxkit ner score "$folder/ner" "$sentences/test.conll" "${known[@]}" --out "$folder/test"
}

# learn_all: every system with every seed
learn_all() {
    local system seed
    for seed in $seeds; do
        for system in $systems; do
            beside "$exp/full/$system/seed$seed.log" learn "$exp/full/$system/seed$seed" "$system" "$seed"
        done
    done
    settle
}

# learn_some SYSTEMS: some systems on shares of the training sentences, each with its number of `passes`
learn_some() {
    local share system seed
    for seed in $seeds; do
        for share in "${!passes[@]}"; do
            for system in $1; do
                beside "$exp/share$share/$system/seed$seed.log" learn "$exp/share$share/$system/seed$seed" "$system" \
                    "$seed" --share "$share" "${few[@]}" --set "train.epochs=${passes[$share]}"
            done
        done
    done
    settle
}

# harder NAME SYSTEMS OPTION ...: a corrupted test set, and what systems make of it
harder() {
    local name=$1 system seed
    voxkit ner corrupt "$sentences/test.conll" --out "$exp/harder/$name" "${@:3}"
    for seed in $seeds; do
        for system in $2; do
            beside "$exp/harder/$name/$system-$seed.log" voxkit ner score "$exp/full/$system/seed$seed/ner" \
                "$exp/harder/$name/sentences.conll" --train "$sentences/train.conll" \
                --out "$exp/full/$system/seed$seed/$name"
        done
    done
    settle
}

# time_alone: every system scored once more with nothing else running, for its speed on one core
time_alone() {
    local system
    for system in $systems; do
        OMP_NUM_THREADS=1 voxkit ner score "$exp/full/$system/seed${seeds%% *}/ner" "$sentences/test.conll" \
            --out "$exp/alone/$system"
    done
}

# compared: the tables and pictures of all that was learnt
compared() {
    python "$root/tools/ner_table.py" --exp "$exp" --sentences "$sentences" --seeds "$seeds" --out "$results"
    local first=$exp/full/words+chars+phones+bytes/seed${seeds%% *}
    picture "$first/ner/curves.png" 2_training
    picture "$first/test/by_type.png" 3_labels
}
