// Python of the sandbox: the interpreter that runs test snippets, to which the solution's functions are messages (Remote).

export const TESTS_PYTHON = `
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
`;
