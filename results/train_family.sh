#!/bin/sh
# Trains the family on photos, then teacher and student of drawn people, unattended: about ten minutes of one large GPU, hours of a
# CPU. Run in the root of a clone:
#
#     sh results/train_family.sh DATA OUT [SHARE]
#
# DATA   people, lspet_train, lspet_train_upright, lspet_train_more (each as `calib_data.cut` writes it), lspet_val likewise, and
#        movenet, the folder of the networks that pose/teachers/movenet_*.yaml name.
# OUT    a folder of its own for each run, with its log and checkpoint, and OUT/weights: what is worth taking home, in float16.
# SHARE  of the steps, 1 by default; 0.005 to see that everything runs.
#
# Interrupted, it goes on where it was when it is started again. The GPU, or all of several, is found by accelerate; parameters are
# float32, and matrix products bfloat16 where the processor has them.
set -eu
DATA=$1 OUT=$2 SHARE=${3:-1}
PYTHON=${PYTHON:-python3}
export POSE_DATA=$DATA DISTILPOSE_CACHE="$OUT/cache" PYTHONPATH="$PWD"
WORKERS=$(($(nproc) > 2 ? $(nproc) - 2 : 0))
mkdir -p "$OUT/weights"

# run NAME MODULE EPOCHS FLAG...: one run in OUT/NAME, EPOCHS times SHARE passes over the data
run() {
    name=$1 module=$2 epochs=$(echo "$3 $SHARE" | awk '{print $1 * $2}')
    shift 3
    resume=
    if [ -e "$OUT/$name/run.json" ]; then resume=--resume; fi
    echo "== $name: $epochs epochs"
    "$PYTHON" -m "$module" "$@" --epochs "$epochs" --workers "$WORKERS" --out "$OUT/$name" $resume
    "$PYTHON" - "$OUT/$name" "$OUT/weights/$name.safetensors" <<'PY'
import sys
from pathlib import Path
from safetensors.torch import load_file, save_file
(weights,) = Path(sys.argv[1]).glob("*.safetensors")
save_file({name: value.half() for name, value in load_file(weights).items()}, sys.argv[2])
PY
}

photos() {
    name=$1 student=$2 epochs=$3
    shift 3
    run "$name" distill.student "$epochs" --student "$student" --teacher movenet_thunder --boxes annotation \
        --data "$DATA/people/people.json" --data "$DATA/lspet_train/people.json" \
        --data "$DATA/lspet_train_upright/people.json" --data "$DATA/lspet_train_more/people.json" \
        --data-weight 3 --data-weight 1 --data-weight 1 --data-weight 1 --val "$DATA/lspet_val/people.json" "$@"
}

photos sizes distilpose_edge_s 60 --recipe edge-sizes --weights pose/weights/distilpose_edge.safetensors
photos s distilpose_edge_s 15 --recipe edge --seed 1 --weights "$OUT/sizes/student.safetensors"
photos l distilpose_edge_l 15 --recipe edge --trunk "$DATA/movenet/movenet-thunder.onnx"
run tokenpose_s distill.teacher 0.3 --teacher tokenpose_s --weights pose/weights/tokenpose_s.safetensors \
    --people 200000 --seed 21 --recipe drawn-teacher
run distilpose_s distill.student 0.3 --student distilpose_s --teacher labels --weights pose/weights/distilpose_s.safetensors \
    --people 200000 --seed 22 --recipe drawn-labels
