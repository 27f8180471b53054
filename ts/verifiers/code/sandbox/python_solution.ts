// Python of the sandbox: the interpreter that runs a solution. Whatever it replies may be the solution's own invention.

export const SOLUTION_PYTHON = `
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
`;
