"""One Markdown table of what cuda_bench and gpu_peer.py measured on the same card: python gpu_table.py FILE.jsonl ... (both kinds of file).

Columns: ours, the peer, how often the peer's time ours takes, the floor from the card's own copy bandwidth or matrix rate (the best either
measured), the target of the project and whether it is met.
"""

import json
import sys

# key: (share of copy bandwidth, TFLOP/s, share of the matrix rate, tokens/s, times the peer)
TARGETS = {
    "logits_bf16": dict(copy=0.85, peer=5),
    "linear_forward": dict(tflops=500),
    "linear_full": dict(tflops=450),
    "rewards": dict(copy=0.7),
    "attention_64": dict(tflops=300),
    "attention_128": dict(tflops=300),
    "train_0.5b": dict(matrix=0.4),
    "train_1.5b": dict(matrix=0.5),
    "decode": dict(tokens=40000, peer=3),
}


def read(files):
    ours, peers, rates = {}, {}, {"copy": {}, "matrix": {}}
    for name in files:
        try:
            lines = open(name).read().splitlines()
        except OSError:
            continue
        for line in map(json.loads, lines):
            key, peer = line["key"], line.get("peer")
            if key in rates:
                side = "peer" if peer else "ours"
                rates[key][side] = max(rates[key].get(side, 0), line["rate"])
            elif peer:
                peers.setdefault(key, []).append(line)
            else:
                ours[key] = line
    return ours, peers, rates


def milliseconds(seconds):
    return f"{seconds * 1e3:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def speed(line, copy, matrix):
    """What a line says of itself, best unit first."""
    seconds, said = line["seconds"], []
    if line.get("tokens"):
        said.append(f"{line['tokens'] / seconds:,.0f} tok/s")
    if line.get("operations"):
        said.append(f"{line['operations'] / seconds / 1e12:.0f} TFLOP/s ({100 * line['operations'] / seconds / matrix:.0f} %)")
    if line.get("bytes"):
        said.append(f"{line['bytes'] / seconds / 1e12:.2f} TB/s ({100 * line['bytes'] / seconds / copy:.0f} %)")
    return f"{milliseconds(seconds)}, {', '.join(said)}" if said else milliseconds(seconds)


def per_token(line):
    """Time of the same work: generations of different lengths are compared per token."""
    return line["seconds"] / (line.get("tokens") or 1)


def judge(target, line, peers, copy, matrix):
    wanted, met = [], []
    seconds = line["seconds"]
    for kind, least in target.items():
        if kind == "peer":
            wanted.append(f"{least}x the peer")
            met.append(min(map(per_token, peers)) / per_token(line) >= least if peers else None)
            continue
        value, text = {
            "copy": (line["bytes"] / seconds / copy, f"{least:.0%} of copy"),
            "matrix": (line["operations"] / seconds / matrix, f"{least:.0%} of the matrix rate"),
            "tflops": (line["operations"] / seconds / 1e12, f"{least} TFLOP/s"),
            "tokens": (line["tokens"] / seconds, f"{least:,} tok/s"),
        }[kind]
        wanted.append(text)
        met.append(value >= least)
    return ", ".join(wanted), "**no**" if False in met else "not known" if None in met else "yes"


def main(files):
    ours, peers, rates = read(files)
    best = {kind: max(list(found.values()) or [float("nan")]) for kind, found in rates.items()}
    for kind, unit, scale in (("copy", "TB/s", 1e12), ("matrix", "TFLOP/s", 1e12)):
        print(f"{kind}: " + ", ".join(f"{side} {value / scale:.4g} {unit}" for side, value in sorted(rates[kind].items())) + "  ")
    print("\n| what | ours | peer | peer / ours | floor | target | met |\n|---|---|---|---|---|---|---|")
    main_line = ""
    for key, line in ours.items():
        name = line["what"] if not line["what"].startswith("  ") else f"{main_line}:{line['what'][1:]}"
        main_line = main_line if line["what"].startswith("  ") else line["what"]
        theirs = sorted(peers.pop(key, []), key=per_token)
        floor = max((line.get("bytes") or 0) / best["copy"], (line.get("operations") or 0) / best["matrix"])
        wanted, met = judge(TARGETS[key], line, theirs, best["copy"], best["matrix"]) if key in TARGETS else ("", "")
        shown = "; ".join(f"{peer['peer']} {speed(peer, best['copy'], best['matrix'])}" for peer in theirs) or "not measured"
        ratio = "; ".join(f"{per_token(peer) / per_token(line):.2f}" for peer in theirs)
        cells = [name, speed(line, best["copy"], best["matrix"]), shown, ratio, milliseconds(floor) if floor > 0 else "", wanted, met]
        print("| " + " | ".join(cells) + " |")
    for key, target in TARGETS.items():
        if key not in ours:
            print(f"| {key} | not measured | | | | {', '.join(target)} | not known |")
    for key, lines in peers.items():
        for line in lines:
            print(f"| {key} | | {line['peer']} {speed(line, best['copy'], best['matrix'])} | | | | |")


main(sys.argv[1:])
