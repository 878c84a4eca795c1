#!/usr/bin/env bash
# ESC-10: a network of 26 thousand weights learns from one of 1.2 million, and is stored in 3 bits a weight (system 1: quantized
# distillation). On the official five folds, one teacher a fold (those of egs/esc10/audio_event, trained there if they
# are not), students over three seeds, beside the three baselines: quantization after training, quantization-aware
# training without a teacher, distillation without quantization. The teacher has learned from mixed sounds, and so have
# these students; a further pair of students has not. Then int8 inference.
extras="export"
default_seeds="0 1 2"
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/recipe.sh"

folds="1 2 3 4 5" student=(--config "$root/conf/audio_event/esc10_student.yaml") more=(--set train.epochs=8 --set train.lr=1e-3)
scheme=(--bits 3 --per channel) teaching=(--hard-weight 0.1 --temperature 2)
if [ $smoke = yes ]; then
    folds="1 2" student=(--config "$root/conf/audio_event/tiny.yaml" --set train.steps=4 --set augment.views=2) more=()
fi
recipe=$here/../audio_event corpus=$data teachers=$exp/teachers # its own folders serve both recipes
if [ "$data" = "$here/data$suffix" ]; then corpus=$recipe/data$suffix; fi
if [ "$exp" = "$here/exp$suffix" ]; then teachers=$recipe/exp$suffix; fi
parts=$corpus/folds

if stage 1 "Train the teachers"; then
    bash "$recipe/run.sh" --stop-stage 3 --seeds 0 --num-jobs "$num_jobs" --data "$corpus" --exp "$teachers" \
        $([ $smoke = no ] || echo --smoke)
fi

test_on() { # FOLD FOLDER ...: what was trained or quantized there
    local fold=$1 folder
    for folder in "${@:2}"; do
        voxkit audio-event score "$folder" "$parts/fold-$fold-of-5/held_out.jsonl.gz" --out "$folder-test"
    done
}

learn() { # SEED FOLD
    local seed=$1 fold=$2
    local folder=$exp/seed$seed/fold$fold teacher=$teachers/seed0/fold$fold/teacher
    local data=(--train "$parts/fold-$fold-of-5/train.jsonl.gz" --seed "$seed" "${student[@]}")
    local taught=(--teacher "$teacher" --cache "$exp/answers/fold$fold" "${teaching[@]}")
    voxkit audio-event train "${data[@]}" --out "$folder/student"
    voxkit distill "${data[@]}" "${taught[@]}" --out "$folder/distilled"
    voxkit audio-event train "${data[@]}" --set augment.mix=0 --out "$folder/unmixed"
    voxkit distill "${data[@]}" --teacher "$teacher" --cache "$exp/answers/unmixed$fold" "${teaching[@]}" \
        --set augment.mix=0 --out "$folder/unmixed-distilled"
    voxkit distill "${data[@]}" "${taught[@]}" --init "$folder/distilled" "${scheme[@]}" "${more[@]}" \
        --out "$folder/distilled-quantized"
    voxkit quantize "$folder/student" "${scheme[@]}" --range mse --out "$folder/student-after"
    voxkit quantize "$folder/distilled" "${scheme[@]}" --range mse --out "$folder/distilled-after"
    voxkit quantize "$folder/student" "${scheme[@]}" --aware --train "$parts/fold-$fold-of-5/train.jsonl.gz" \
        --seed "$seed" "${more[@]}" --out "$folder/student-aware"
    test_on "$fold" "$folder"/{student,distilled,distilled-quantized,student-after,distilled-after,student-aware} \
        "$folder"/{unmixed,unmixed-distilled}
}

if stage 2 "Train and quantize the students"; then
    for seed in $seeds; do
        for fold in $folds; do beside "$exp/seed$seed/fold$fold.log" learn "$seed" "$fold"; done
    done
    settle
fi

if stage 3 "Compute in 8 bits too, with onnxruntime"; then
    part=$parts/fold-1-of-5
    for name in teacher distilled; do
        model=$exp/seed${seeds%% *}/fold1/distilled
        if [ $name = teacher ]; then model=$teachers/seed0/fold1/teacher; fi
        OMP_NUM_THREADS=1 voxkit quantize "$model" --int8 --per channel --calibrate "$part/train.jsonl.gz" --report \
            --dev "$part/held_out.jsonl.gz" --out "$exp/int8/$name"
    done
fi

if stage 4 "Compare"; then
    python "$root/tools/distill_table.py" --exp "$exp" --teachers "$teachers/seed0" --seeds "$seeds" \
        --folds "$folds" --out "$exp/results"
fi

finish "$exp/results/scores.txt"
