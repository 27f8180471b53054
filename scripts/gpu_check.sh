#!/bin/sh
# Everything the CUDA backend should be asked on a machine with a GPU: scripts/gpu_check.sh [results file]
# Needs nvcc, CMake and a driver; cuBLASLt where native/cuda/cublaslt.cu looks; Bun (node_modules/.bin/bun, or BUN) for the training
# run; no network. Builds in .tmp/gpu; every part says how it went, and a failed part does not stop the next.
cd "$(dirname "$0")/.." || exit 1
results=${1:-.tmp/gpu_check.txt}
bun=${BUN:-node_modules/.bin/bun}
failed=0
mkdir -p .tmp "$(dirname "$results")"
: > "$results"

say() { echo "$@" | tee -a "$results"; }
part() { # part NAME COMMAND...
  name=$1
  shift
  say "== $name"
  "$@" > .tmp/gpu_part.txt 2>&1
  code=$?
  tail -n 60 .tmp/gpu_part.txt | tee -a "$results"
  [ $code -eq 0 ] && say "-- $name: ok" || { say "-- $name: FAILED ($code)"; failed=$((failed + 1)); }
}
optional() { # optional PROGRAM NAME COMMAND...
  program=$1
  shift
  if command -v "$program" > /dev/null; then part "$@"; else say "-- $1: skipped, $program is not installed"; fi
}

say "primekit on a GPU, $(date -u +%Y-%m-%dT%H:%MZ), commit $(git rev-parse --short HEAD 2> /dev/null || echo unknown)"
optional nvidia-smi "the GPU" nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
part "configure" cmake -S . -B .tmp/gpu -DCMAKE_BUILD_TYPE=Release -DPRIMEKIT_CUDA=on -DPRIMEKIT_CUDA_TESTS=ON
part "build" cmake --build .tmp/gpu --parallel --target cuda_tests cuda_bench
part "every op against the CPU" .tmp/gpu/cuda_tests
part "speed" .tmp/gpu/cuda_bench
optional compute-sanitizer "memory errors (memcheck)" compute-sanitizer --tool memcheck --error-exitcode 9 .tmp/gpu/cuda_tests
optional compute-sanitizer "races (racecheck)" compute-sanitizer --tool racecheck --error-exitcode 9 .tmp/gpu/cuda_tests
if [ -x "$bun" ]; then
  PRIMEKIT_CUDA=on
  export PRIMEKIT_CUDA
  part "what the addon sees" "$bun" run ts/cli/bin.ts info
  part "the C library" "$bun" run build:c
  optional python3 "the C library on PyTorch tensors" python3 examples/08_embed/torch_ctypes.py
  part "a short PRIME run" "$bun" run train.ts --runs .tmp/gpu_runs --run check --steps 4 --sft.steps 40
else
  say "-- a short PRIME run: skipped, there is no Bun at $bun"
fi
say "$failed parts failed"
[ "$failed" -eq 0 ]
