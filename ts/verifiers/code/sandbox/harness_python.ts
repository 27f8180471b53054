// The Python half of the sandbox: a module that lives in every interpreter's memory image. JavaScript writes a request to the channel, calls
// step(), and reads the reply. The same image serves as the interpreter of the solution and as the interpreter of the tests.

/** File descriptors that exist only in the gate (gate.ts): requests and replies, and calls from the tests to the solution. */
export const CHANNEL = 1000;
export const CALLS = 1001;

/** Imported before the image is taken, so that a program's own import costs nothing. */
const PRELOADED = `abc, argparse, array, ast, asyncio, base64, binascii, bisect, calendar, cmath, codecs, collections, collections.abc, contextlib,
  copy, csv, ctypes, dataclasses, datetime, decimal, difflib, enum, fractions, functools, getpass, hashlib, heapq, html, inspect, io, itertools, json,
  keyword, locale, logging, math, numbers, operator, os, pathlib, pprint, queue, random, re, secrets, shlex, signal, statistics, string,
  struct, sys, tempfile, textwrap, threading, time, timeit, traceback, types, typing, unicodedata, unittest, uuid, warnings, weakref, zlib`;

/** Names a solution may use without importing them, as in the reference grader; a builtin is never replaced. */
const STAR_IMPORTS = "string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json typing";

export const HARNESS = `
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

# --- in the interpreter of the solution ---

class Thread(threading.Thread):
    "There are no threads here: one runs to its end when it is started."
    def start(self):
        self._started.set()
        try: self.run()
        except SystemExit: pass
        self.ended = True
    def join(self, timeout=None): pass
    def is_alive(self): return False

class Selector:
    def select(self, timeout=None): time.sleep(timeout or 0); return []
    def close(self): pass

class Loop(asyncio.BaseEventLoop):
    "An event loop of timers and coroutines alone."
    def __init__(self):
        super().__init__()
        self._selector = Selector()
    def _process_events(self, events): pass
    def _write_to_self(self): pass

def names_of(code, entry):
    try: body = ast.parse(code).body
    except Exception: return None
    defined = {getattr(n, "name", None) for n in body} | {t.id for n in body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    return entry in defined

solution = {}

def do_load(request):
    global solution
    module = types.ModuleType(request.get("name", "solution"))
    sys.modules[module.__name__] = module
    solution = vars(module)
    solution.update(PRELUDE)
    code, prefix, entry = request["code"], request.get("prefix", ""), request.get("entry")
    try:
        if request.get("setup"): exec(compile(request["setup"], "setup.py", "exec"), solution)
        if prefix and names_of(code, entry):
            try: exec(compile(prefix, "prefix.py", "exec"), solution) # its helpers and imports
            except SyntaxError: pass # it ends in the middle of what the solution spells out
        elif prefix: code = prefix + code
        before = dict(solution)
        exec(compile(code, "solution.py", "exec"), solution)
    except BaseException as error:
        return {"error": describe(error)}
    return {"names": [n for n in request.get("wanted", []) if n in solution and solution[n] is not before.get(n, solution)]}

def do_main(request):
    try: reply = do_load({"code": request["code"], "name": "__main__"})
    finally:
        try: sys.stdout.flush()
        except BaseException as error: reply = {"error": describe(error)}
    return reply

def do_call(request):
    try:
        name, args = request["entry"], [load(a) for a in request["args"]]
        holder = solution.get("Solution")
        function = getattr(holder(), name) if isinstance(holder, type) and hasattr(holder, name) else solution.get(name)
        if function is None or function is PRELUDE.get(name): return {"error": "The solution does not define " + name + "."}
        return {"value": dump(function(*args))}
    except BaseException as error:
        return {"error": describe(error)}

ACTIONS = {
    "name": lambda name: solution[name], "call": lambda f, *a, **k: f(*a, **k), "getattr": getattr, "setattr": setattr, "iter": iter, "next": next,
    "len": len, "bool": bool, "contains": operator.contains, "getitem": operator.getitem, "setitem": operator.setitem, "str": str, "repr": repr,
    "eq": operator.eq, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}

def do_action(request):
    try:
        args, kwargs = [load(a) for a in request["args"]], {k: load(v) for k, v in request["kwargs"].items()}
        value = dump(ACTIONS[request["action"]](*args, **kwargs))
        sent = [*zip(args, request["args"]), *[(kwargs[k], v) for k, v in request["kwargs"].items()]]
        changed = [[i, after] for i, (x, before) in enumerate(sent) if isinstance(x, (list, dict, set, bytearray)) and (after := dump(x)) != before]
        return {"value": value, "changed": changed} if changed else {"value": value}
    except BaseException as error:
        return {"raised": [type(error).__name__, describe(error)]}

# --- in the interpreter of the tests ---

class Unsendable(BaseException): pass
class Stopped(BaseException): pass
class RemoteError(Exception): pass

def unsendable(x): raise Unsendable("The tests pass a " + type(x).__name__ + " to the solution, which cannot be handed over.")

def act(action, *args, **kwargs):
    put(CALLS, {"op": "action", "action": action, "args": [dump(a, unsendable) for a in args], "kwargs": {k: dump(v, unsendable) for k, v in kwargs.items()}})
    reply = get(CALLS)
    if "stopped" in reply: raise Stopped(reply["stopped"])
    if "raised" in reply:
        name, text = reply["raised"]
        kind = getattr(builtins, name, None)
        raise (kind if isinstance(kind, type) and issubclass(kind, Exception) else RemoteError)(text)
    sent = [*args, *kwargs.values()]
    for i, after in reply.get("changed", ()):
        if isinstance(sent[i], (list, bytearray)): sent[i][:] = load(after)
        else: sent[i].clear(); sent[i].update(load(after))
    return load(reply["value"])

class Remote:
    "Something in the solution's interpreter. Only two of them are compared there; to a value of the tests it is never equal."
    def __init__(self, handle, kind):
        object.__setattr__(self, "_handle", handle)
        object.__setattr__(self, "_kind", kind)
    def __call__(self, *args, **kwargs): return act("call", self, *args, **kwargs)
    def __getattr__(self, name): return act("getattr", self, name)
    def __setattr__(self, name, value): act("setattr", self, name, value)
    def __iter__(self): return act("iter", self)
    def __next__(self): return act("next", self)
    def __len__(self): return act("len", self)
    def __bool__(self): return act("bool", self)
    def __contains__(self, x): return act("contains", self, x)
    def __getitem__(self, k): return act("getitem", self, k)
    def __setitem__(self, k, v): act("setitem", self, k, v)
    def __str__(self): return act("str", self)
    def __repr__(self): return act("repr", self)
    def __hash__(self): return object.__hash__(self)
    def __eq__(self, x): return act("eq", self, x) if type(x) is Remote else NotImplemented
    def __lt__(self, x): return act("lt", self, x) if type(x) is Remote else NotImplemented
    def __le__(self, x): return act("le", self, x) if type(x) is Remote else NotImplemented
    def __gt__(self, x): return act("gt", self, x) if type(x) is Remote else NotImplemented
    def __ge__(self, x): return act("ge", self, x) if type(x) is Remote else NotImplemented

def runs(text, namespace):
    try: code = compile(text, "prefix.py", "exec")
    except SyntaxError: code = compile(text.rstrip() + "\\n    pass\\n", "prefix.py", "exec")
    exec(code, namespace)

tests = {}

def do_prepare(request):
    "Runs what comes before the tests, and says which names the tests need of the solution."
    global tests
    module = types.ModuleType("tests")
    sys.modules["tests"] = module
    tests = vars(module)
    entry = request.get("entry")
    try:
        if request.get("setup"): exec(compile(request["setup"], "setup.py", "exec"), tests)
        if request.get("prefix"): runs(request["prefix"], tests)
        nodes = [node for text in request["tests"] for node in ast.walk(compile(text, "test.py", "exec", ast.PyCF_ONLY_AST))]
    except BaseException as error:
        return {"error": describe(error)}
    used = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    bound = {n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))} | set(tests)
    wanted = {n for n in used - bound if not hasattr(builtins, n)}
    called = {n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)} - bound
    # A module that the solution happened to import is the tests' own, too.
    modules = {n for n in wanted - called if isinstance(PRELUDE.get(n), types.ModuleType)}
    tests.update((n, PRELUDE[n]) for n in modules)
    wanted -= modules
    # A builtin is, as well: a solution that defines its own "set" or "abs" must not judge itself. Only where nothing else is called is it meant.
    if entry: wanted.add(entry)
    elif not wanted & called and len(called) == 1: wanted |= called
    return {"wanted": sorted(wanted)}

def do_tests(request):
    for name in request["names"]: tests[name] = act("name", name)
    entry, results = request.get("entry"), []
    texts = list(request["tests"])
    try:
        for text in texts: compile(text, "test.py", "exec")
        if entry and any("def check(" in t for t in texts) and not any(line.startswith("check(") for t in texts for line in t.splitlines()):
            texts[-1] += "\\ncheck(" + entry + ")\\n"
        for text in texts:
            try:
                exec(compile(text, "test.py", "exec"), tests)
                results.append(None)
            except (Unsendable, Stopped): raise
            except BaseException as error:
                results.append(describe(error))
                if request.get("first"): break
    except Unsendable as error: return {"error": str(error)}
    except Stopped as error: return {"results": results, "stopped": str(error)}
    return {"results": results}

STEPS = {"load": do_load, "main": do_main, "call": do_call, "action": do_action, "prepare": do_prepare, "tests": do_tests}
CHANNEL, CALLS = ${CHANNEL}, ${CALLS}

def step():
    request = get(CHANNEL)
    reply = STEPS[request["op"]](request)
    put(CHANNEL, reply)
`;

/** Puts the harness into sys.modules and sets an ordinary process's surroundings up; run once, before the image is taken. */
export const INSTALL = `
import sys, types
_module = types.ModuleType("_primekit")
sys.modules["_primekit"] = _module
exec(compile(_source, "_primekit.py", "exec"), vars(_module))
del _module, _source
`;

/** Run after the image is loaded and before the gate closes: JavaScript leaves, standard streams become those of a plain process. */
export const SEAL = `
import sys, io, gc, threading, asyncio, random, time, builtins, pyodide.webloop, _primekit
asyncio.run, time.sleep = pyodide.webloop._orig_run, pyodide.webloop._orig_sleep
sys.meta_path[:] = [finder for finder in sys.meta_path if "_pyodide" not in type(finder).__module__ and "pyodide" not in type(finder).__module__]
for _name in [n for n in sys.modules if n.split(".")[0] in ("js", "pyodide_js", "pyodide", "_pyodide", "_pyodide_core", "_pyodide_core_docs", "webbrowser")]: del sys.modules[_name]
for _name in ("js", "pyodide", "_pyodide_core"): globals().pop(_name, None)
sys.excepthook = sys.__excepthook__
asyncio._set_running_loop(None)
asyncio.new_event_loop = asyncio.events.new_event_loop = _primekit.Loop
threading.Thread = _primekit.Thread
sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)), encoding="utf-8")
sys.stdout = sys.__stdout__ = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False), 1 << 16), encoding="utf-8")
sys.stderr = sys.__stderr__ = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", errors="backslashreplace", write_through=True)
sys.argv = ["solution.py"]
sys.setrecursionlimit(100_000)
sys.set_int_max_str_digits(0)
random.seed(0)
del _name
gc.collect()
gc.freeze()
`;
