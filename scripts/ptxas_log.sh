#!/bin/sh
# Runs a compiler and keeps what it says on stderr (with -Xptxas -v: registers and spills of every kernel) in OBJECT.ptxas.
for argument in "$@"; do
  [ "$previous" = "-o" ] && object="$argument"
  previous="$argument"
done
[ -n "$object" ] || exec "$@"
"$@" 2> "$object.ptxas"
code=$?
grep -v -E "^ptxas info|bytes stack frame" "$object.ptxas" >&2
exit $code
