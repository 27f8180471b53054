// The Python half of the sandbox: a module that lives in every interpreter's memory image. JavaScript writes a request to the channel, calls
// step(), and reads the reply. The same image serves as the interpreter of the solution and as the interpreter of the tests.
import { SOLUTION_PYTHON } from "./python_solution.ts";
import { TESTS_PYTHON } from "./python_tests.ts";
import { VALUES_PYTHON } from "./python_values.ts";

/** File descriptors that exist only in the gate (gate.ts): requests and replies, and calls from the tests to the solution. */
export const CHANNEL = 1000;
export const CALLS = 1001;

export const HARNESS = `${VALUES_PYTHON}${SOLUTION_PYTHON}${TESTS_PYTHON}
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
