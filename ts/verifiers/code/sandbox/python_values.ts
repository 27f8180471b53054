// Python of the sandbox: what is imported beforehand, the channel, and values as text.

/** Imported before the image is taken, so that a program's own import costs nothing. */
const PRELOADED = `abc, argparse, array, ast, asyncio, base64, binascii, bisect, calendar, cmath, codecs, collections, collections.abc, contextlib,
  copy, csv, ctypes, dataclasses, datetime, decimal, difflib, enum, fractions, functools, getpass, hashlib, heapq, html, inspect, io, itertools, json,
  keyword, locale, logging, math, numbers, operator, os, pathlib, pprint, queue, random, re, secrets, shlex, signal, statistics, string,
  struct, sys, tempfile, textwrap, threading, time, timeit, traceback, types, typing, unicodedata, unittest, uuid, warnings, weakref, zlib`;

/** Names a solution may use without importing them, as in the reference grader; a builtin is never replaced. */
const STAR_IMPORTS = "string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json typing";

export const VALUES_PYTHON = `
import ${PRELOADED.replaceAll(/\s+/g, " ")}
import builtins

def _prelude():
    names = {}
    for module in "${STAR_IMPORTS}".split():
        module = sys.modules[module]
        for name in getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]:
            if not hasattr(builtins, name): names[name] = getattr(module, name)
    for module in "${STAR_IMPORTS} os time".split(): names[module] = sys.modules[module]
    return names

PRELUDE = _prelude()
LIMIT = 2**53

def get(fd, read=os.read):
    parts = []
    while part := read(fd, 1 << 20): parts.append(part)
    return json.loads(b"".join(parts))

def put(fd, value, write=os.write):
    data = memoryview(json.dumps(value, separators=(",", ":")).encode())
    while data: data = data[write(fd, data):]

# --- values: None, bool, str and small int as themselves, all else as [tag, ...]; what has no value of its own is a handle ---

objects = []

def handle(x):
    objects.append(x)
    return ["o", len(objects) - 1, type(x).__name__]

def dump(x, other=handle):
    t = type(x)
    if x is None or t is bool or t is str: return x
    if t is int: return x if -LIMIT < x < LIMIT else ["i", hex(x)]
    if t is float: return ["f", repr(x)]
    if isinstance(x, Remote): return ["h", object.__getattribute__(x, "_handle")]
    if isinstance(x, list): return ["l", *[dump(y, other) for y in list.__iter__(x)]]
    if isinstance(x, tuple): return ["t", *[dump(y, other) for y in tuple.__iter__(x)]]
    if isinstance(x, dict): return ["d", *[[dump(k, other), dump(v, other)] for k, v in dict.items(x)]]
    if isinstance(x, set): return ["S", *[dump(y, other) for y in set.__iter__(x)]]
    if isinstance(x, frozenset): return ["F", *[dump(y, other) for y in frozenset.__iter__(x)]]
    if isinstance(x, int): return dump(int.__index__(x))
    if isinstance(x, float): return ["f", float.__repr__(x)]
    if isinstance(x, str): return str.__str__(x)
    if isinstance(x, (bytes, bytearray)): return ["y" if isinstance(x, bytes) else "Y", x.hex()]
    if t is complex: return ["c", repr(x.real), repr(x.imag)]
    if t is range: return ["r", *[dump(y) for y in (x.start, x.stop, x.step)]]
    if t is collections.deque: return ["q", *[dump(y, other) for y in x]]
    if t is array.array: return ["A", x.typecode, *[dump(y) for y in x]]
    if t is decimal.Decimal: return ["D", str(x)]
    if t is fractions.Fraction: return ["R", str(x)]
    return other(x)

def hashable(items): return [load(y) for y in items]

LOADERS = {
    "i": lambda v: int(v[0], 16), "f": lambda v: float(v[0]), "l": hashable, "t": lambda v: tuple(hashable(v)),
    "d": lambda v: {load(k): load(x) for k, x in v}, "S": lambda v: set(hashable(v)), "F": lambda v: frozenset(hashable(v)),
    "y": lambda v: bytes.fromhex(v[0]), "Y": lambda v: bytearray.fromhex(v[0]), "c": lambda v: complex(float(v[0]), float(v[1])),
    "r": lambda v: range(*hashable(v)), "q": lambda v: collections.deque(hashable(v)), "A": lambda v: array.array(v[0], hashable(v[1:])),
    "D": lambda v: decimal.Decimal(v[0]), "R": lambda v: fractions.Fraction(v[0]), "o": lambda v: Remote(v[0], v[1]), "h": lambda v: objects[v[0]],
}

def load(value): return LOADERS[value[0]](value[1:]) if type(value) is list else value

def describe(error):
    try: text = str(error)
    except BaseException: text = ""
    name = type(error).__name__
    return (name + ": " + text if text else name)[:300]
`;
