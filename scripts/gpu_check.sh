#!/bin/sh
# Everything the CUDA backend should be asked on a machine with a GPU:
#   scripts/gpu_check.sh [--parts build,test,bench,peers,run,sanitize] [--seconds 530] [results file]
# Needs nvcc, CMake and a driver; cuBLASLt where native/cuda/cublaslt.cu looks, or in the Python that is there; Bun (node_modules/.bin/bun,
# or BUN) for the training run; Python with PyTorch for the peers; no network. Builds in .tmp/gpu. Every part has a time limit and says
# how it went; a part that fails or is stopped does not stop the next, and what does not fit into the time as a whole is said to be
# skipped. Parts come in the order of what they are worth: correctness, our speed, the peers', a training run, memory checks.
# A later call with other --parts goes on with what was built and measured. The table of ours and theirs goes to RESULTS.md.
cd "$(dirname "$0")/.." || exit 1
parts=all
seconds=530
while [ $# -gt 0 ]; do
  case $1 in
    --parts) parts=$2 && shift 2 ;;
    --seconds) seconds=$2 && shift 2 ;;
    --quick) parts=build,test,bench && shift ;;
    -*) echo "usage: $0 [--quick] [--parts build,test,bench,peers,run,sanitize] [--seconds N] [results file]" && exit 2 ;;
    *) break ;;
  esac
done
results=${1:-.tmp/gpu_check.txt}
table=${results%.txt}.md
bun=${BUN:-node_modules/.bin/bun}
python=${PYTHON:-python3}
began=$(date +%s)
measured=.tmp/gpu_measured
failed=0
skipped=0
mkdir -p .tmp "$measured" "$(dirname "$results")"
: > "$results"

say() { echo "$@" | tee -a "$results"; }
skip() { say "-- $1: skipped, $2" && skipped=$((skipped + 1)); }
wants() { case ",$parts," in *,all,* | *,"$1",*) true ;; *) false ;; esac; }
has() { command -v "$1" > /dev/null; }
left() { echo $((began + seconds - $(date +%s))); }
part() { # part NAME LIMIT COMMAND...
  name=$1
  limit=$2
  shift 2
  remaining=$(left)
  [ "$remaining" -ge 8 ] || { skip "$name" "no time is left" && return; }
  [ "$remaining" -ge "$limit" ] || limit=$remaining
  say "== $name (at most $limit s)"
  start=$(date +%s)
  timeout -k 5 "$limit" "$@" > .tmp/gpu_part.txt 2>&1
  code=$?
  tail -n 50 .tmp/gpu_part.txt | cut -c 1-300 | tee -a "$results"
  took=$(($(date +%s) - start))
  case $code in
    0) say "-- $name: ok, $took s" ;;
    124 | 137) say "-- $name: STOPPED after $took s" && failed=$((failed + 1)) ;;
    *) say "-- $name: FAILED ($code), $took s" && failed=$((failed + 1)) ;;
  esac
}
bench() { # bench LIMIT PART...
  limit=$1
  shift
  part "speed: $*" "$limit" .tmp/gpu/cuda_bench --json "$measured/ours_$1.jsonl" "$@"
}
peer() { # peer LIMIT PART [OPTIONS]
  limit=$1
  file=$measured/peer_$2${3:-}.jsonl
  shift
  rm -f "$file"
  part "PyTorch: $*" "$limit" "$python" test/bench/peers/gpu_peer.py "$@" --json "$file"
}
write_table() {
  ls "$measured"/*.jsonl > /dev/null 2>&1 || return
  has "$python" || { skip "table" "$python is not installed" && return; }
  "$python" test/bench/peers/gpu_table.py "$measured"/ours_*.jsonl "$measured"/peer_*.jsonl > "$table" 2> .tmp/gpu_part.txt || say "-- table: $(tail -n 1 .tmp/gpu_part.txt)"
}

say "primekit on a GPU, $(date -u +%Y-%m-%dT%H:%MZ), commit $(git rev-parse --short HEAD 2> /dev/null || echo unknown)"
if has nvidia-smi; then part "the GPU" 20 nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem --format=csv; else skip "the GPU" "nvidia-smi is not installed"; fi

# Machine code for this card alone: a third of the compile time.
if [ -z "$CUDAARCHS" ] && has nvidia-smi; then
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -n 1 | tr -d '. ')
  case $capability in [0-9][0-9] | [0-9][0-9][0-9]) CUDAARCHS=$capability-real && export CUDAARCHS ;; esac
fi
CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
PRIMEKIT_CUDA=on
export CMAKE_BUILD_PARALLEL_LEVEL PRIMEKIT_CUDA
if [ -z "$PRIMEKIT_CUBLASLT" ] && has "$python"; then # beside PyTorch, wherever that is installed
  found=$("$python" -c 'import glob, sys; print(*[f for p in sys.path for f in glob.glob(p + "/nvidia/*/lib/libcublasLt.so.1[23]")][:1])' 2> /dev/null)
  [ -z "$found" ] || { PRIMEKIT_CUBLASLT=$found && export PRIMEKIT_CUBLASLT && say "cuBLASLt: $found"; }
fi

if wants build; then
  if has nvcc; then
    # The addon is compiled beside the tests, on the other cores.
    if wants run && [ -x "$bun" ]; then timeout -k 5 200 "$bun" run ts/cli/bin.ts info > .tmp/gpu_addon.txt 2>&1 & fi
    part "configure" 60 cmake -S . -B .tmp/gpu -DCMAKE_BUILD_TYPE=Release -DPRIMEKIT_CUDA=on -DPRIMEKIT_CUDA_TESTS=ON
    part "build" 200 cmake --build .tmp/gpu --target cuda_tests cuda_bench
    wait
  else
    skip "build" "nvcc is not installed"
  fi
fi
if wants test; then
  if [ -x .tmp/gpu/cuda_tests ]; then part "every op against the CPU" 90 .tmp/gpu/cuda_tests; else skip "every op against the CPU" "it was not built"; fi
fi
if wants bench; then
  if [ -x .tmp/gpu/cuda_bench ]; then
    bench 40 logits
    bench 40 linear
    bench 30 attention
    bench 30 rewards
    bench 40 train_0.5b
    bench 50 train_1.5b
    bench 40 decode
    bench 40 layers
  else
    skip "speed" "it was not built"
  fi
fi
with_torch=
if { wants peers || wants run; } && has "$python" && "$python" -c 'import torch' 2> /dev/null; then with_torch=yes; fi
if wants peers; then
  if [ -n "$with_torch" ]; then
    peer 70 kernels
    peer 50 train_0.5b --eager
    peer 60 decode
    write_table
  else
    skip "PyTorch beside it" "there is no PyTorch in $python"
  fi
fi
if wants run; then
  if [ -x "$bun" ]; then
    part "what the addon sees" 120 "$bun" run ts/cli/bin.ts info
    part "the kernels from JavaScript" 60 env PRIMEKIT_TEST_DEVICE=cuda "$bun" test --timeout 60000 test/ops/device_array.test.ts
    part "a short PRIME run" 70 "$bun" run train.ts --runs .tmp/gpu_runs --run "check-$began" --steps 4 --sft.steps 40
    part "the C library" 60 "$bun" run build:c
    if [ -n "$with_torch" ]; then part "the C library on PyTorch tensors" 60 "$python" examples/08_embed/torch_ctypes.py; else skip "the C library on PyTorch tensors" "there is no PyTorch"; fi
  else
    skip "a short PRIME run" "there is no Bun at $bun"
  fi
fi
if wants sanitize; then
  # Asked for alone, all tests, which takes minutes.
  if [ "$parts" = sanitize ]; then of_tests=cuda && longest=250; else of_tests="cuda: attention" && longest=80; fi
  for tool in memcheck racecheck; do
    if ! has compute-sanitizer; then
      skip "$tool" "compute-sanitizer is not installed"
    elif [ ! -x .tmp/gpu/cuda_tests ]; then
      skip "$tool" "the tests were not built"
    else
      part "$tool of \"$of_tests\"" "$longest" compute-sanitizer --tool $tool --error-exitcode 9 .tmp/gpu/cuda_tests "$of_tests"
    fi
  done
fi
if wants peers && [ -n "$with_torch" ]; then
  peer 60 train_1.5b --eager
  peer 100 train_0.5b --compiled
  peer 120 train_1.5b --compiled
fi
write_table
[ ! -s "$table" ] || { say "== $table" && tee -a "$results" < "$table"; }
say "$failed parts failed or were stopped, $skipped were skipped, $(($(date +%s) - began)) s"
[ "$failed" -eq 0 ]
