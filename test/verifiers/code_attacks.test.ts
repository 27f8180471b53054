// Programs that attack the sandbox, its tests or the next program. Each must end within its limit and never be "correct"; the next one is judged right.
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, rmSync } from "node:fs";
import { codeVerifier } from "../../ts/verifiers/code.ts";
import type { Verdict } from "../../ts/verifiers/types.ts";
import { codeItem } from "../support/code_data.ts";

setDefaultTimeout(300_000);

const verifier = codeVerifier({ processes: 2, timeLimit: 5, memoryLimit: 128 });
const hasty = codeVerifier({ processes: 2, timeLimit: 0.5 });
afterAll(() => Promise.all([verifier.close?.(), hasty.close?.()]));

const CALL = JSON.stringify({ fn_name: "f", inputs: [[2], [7]], outputs: [4, 49] });
const PROGRAM = JSON.stringify({ inputs: ["2\n", "7\n"], outputs: ["4\n", "49\n"] });
const ASSERT = JSON.stringify({ tests: ["assert f(2) == 4", "x = f(7)\nassert x == 49 and type(x) is int"], entry_point: "f" });
const RIGHT = { call: "def f(x): return x * x", program: "print(int(input()) ** 2)", assert: "def f(x): return x * x" };
const ANSWERS = { call: CALL, program: PROGRAM, assert: ASSERT };
type Form = keyof typeof ANSWERS;
const FORMS = Object.keys(ANSWERS) as Form[];

/** Verdicts of the programs, and then of as many right ones: whatever the attacks left behind would show there. */
async function attack(programs: [form: Form, code: string][], by = verifier): Promise<Verdict[]> {
  const verdicts = await by.verify(programs.map(([form, code]) => codeItem(code, ANSWERS[form])));
  const after = await by.verify([...FORMS, ...FORMS].map((form) => codeItem(RIGHT[form], ANSWERS[form])));
  expect(after.map(({ outcome, reason }) => [outcome, reason])).toEqual(after.map(() => ["correct", "All 2 tests passed."]));
  return verdicts;
}

async function expectWrong(codes: Record<string, string>, forms: readonly Form[] = FORMS): Promise<void> {
  const programs = Object.entries(codes).flatMap(([name, code]) => forms.map((form) => ({ name, form, code })));
  const verdicts = await attack(programs.map(({ form, code }) => [form, code]));
  for (const [i, { name, form }] of programs.entries()) expect(verdicts[i].outcome, `${name}, ${form}: ${verdicts[i].reason}`).toBe("wrong");
}

/** A program that prints ESCAPED when the attempt raises nothing. */
const attempting = (body: string) => `
def attempt():
${body.trim().replaceAll(/^/gm, "    ")}
attempt()
print("ESCAPED")
`;
const ESCAPED = JSON.stringify({ inputs: [""], outputs: ["ESCAPED"] });
process.env.PRIMEKIT_SECRET = "of the parent"; // no child may see it

describe("nothing of the host is reachable", () => {
  const escapes: Record<string, string> = {
    "the module js": "import js\nreturn js.Deno.readTextFileSync('/etc/passwd')",
    "the module pyodide_js": "import pyodide_js\nreturn pyodide_js.FS",
    run_js: "from pyodide.code import run_js\nreturn run_js('globalThis')",
    "a new import of Pyodide's core": "import importlib\nreturn importlib.import_module('_pyodide_core').run_js",
    micropip: "import micropip\nreturn micropip",
    "a forgotten JavaScript object":
      "import gc\nproxies = [o for o in gc.get_objects() if 'Js' in type(o).__name__]\nreturn proxies[0].constructor.constructor('return Deno')()",
    "any JavaScript type": "for t in type.__subclasses__(object):\n    if t.__name__ == 'JsProxy': return t().constructor\nraise ValueError",
    "the host's files": "return open('/etc/passwd').read()",
    "its own package": "return open('/lib/python3.14/site-packages/pyodide.asm.wasm').read()",
    "writing a file": "open('/tmp/primekit_escape', 'w').write('x')\nreturn 1",
    "making a folder": "import os\nos.mkdir('/tmp/escape')\nreturn 1",
    "the environment": "import os\nreturn os.environ['PRIMEKIT_SECRET']",
    "the parent's requests": "data = open('/dev/tty').read() + open('/dev/tty1').read()\nreturn data",
    "the parent's requests, by a link": "import os\nreturn open('/proc/self/fd/2').read(), os.readlink('/proc/self/fd/0').encode()[1000]",
    "the environment in /proc": "return open('/proc/self/environ').read()",
    "a shell": "import os\nif os.system('touch /tmp/primekit_escape') == 0: return 1\nraise ValueError",
    "a process": "import subprocess\nreturn subprocess.run(['ls'], capture_output=True)",
    fork: "import os\nwhile True: os.fork()",
    "a socket": "import socket\ns = socket.create_connection(('127.0.0.1', 22))\nreturn s.recv(10)",
    urllib: "import urllib.request\nreturn urllib.request.urlopen('http://127.0.0.1/').read()",
    "fetch by Pyodide": "from pyodide.http import open_url\nreturn open_url('http://127.0.0.1/')",
    "killing the parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nraise ValueError",
    "duplicating the reply's descriptor": "import os\nreturn os.dup2(1, 50)",
    "descriptors of the process": "import os\nreturn [os.read(fd, 10) for fd in range(3, 30)][5]",
  };

  test("one by one", async () => {
    const verdicts = await verifier.verify([...Object.values(escapes), "return 1"].map((body) => codeItem(attempting(body), ESCAPED)));
    expect(verdicts.pop()?.outcome).toBe("correct"); // the control: an attempt that works would be seen
    for (const [i, name] of Object.keys(escapes).entries()) expect(verdicts[i].outcome, `${name}: ${verdicts[i].reason}`).toBe("wrong");
  });

  test("ctypes and forged objects come out at the gate", async () => {
    const codes = {
      "a C callback": "import ctypes\nctypes.CFUNCTYPE(ctypes.c_int)(7)()",
      "a function of the C library": "import ctypes\nctypes.pythonapi.emscripten_run_script(b'Deno.exit(7)')",
      "wild memory writes": "import ctypes\nfor at in range(0, 30_000_000, 4096): ctypes.memset(at, 255, 64)",
      "a null pointer": "import ctypes\nctypes.string_at(0, 100)",
      "an object of nonsense": "import ctypes\nx = [1]\nctypes.memset(id(x) + 4, 7, 8)\nprint(x[0])",
      "a crash on purpose": "import faulthandler\nfaulthandler._sigsegv()",
      "code made by hand": "f = lambda: 0\nf.__code__ = f.__code__.replace(co_code=bytes(range(256)), co_stacksize=0)\nf()",
    };
    await expectWrong(codes, ["call"]); // each costs its child
  });

  test("and nothing was written", () => {
    expect(existsSync("/tmp/primekit_escape")).toBe(false);
    rmSync("/tmp/primekit_escape", { force: true });
  });
});

describe("bombs end at their limit", () => {
  const bombs: Record<string, string> = {
    "a loop": "while True: pass",
    "a loop that catches everything": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "a loop in C": "10 ** 10 ** 8",
    "a regular expression": "import re\nre.match(r'(a+)+$', 'a' * 40 + 'b')",
    sleep: "import time\ntime.sleep(1e9)",
    "a sorted list that never ends": "import itertools\nsorted(itertools.count())",
  };

  test("in time: timeout, with the score of nothing", async () => {
    const programs = Object.values(bombs).flatMap((code, i): [Form, string][] => [[FORMS[i % 3], code]]);
    const inside: [Form, string][] = [["call", "def f(x):\n    while True: pass"]];
    const verdicts = await attack([...programs, ...inside], hasty);
    for (const [i, { outcome, score, reason, settled }] of verdicts.entries()) {
      const memory = outcome === "wrong" && reason.includes("MemoryError"); // what came first for the endless list
      expect(outcome === "timeout" || memory, `${[...programs, ...inside][i][1]}: ${outcome}, ${reason}`).toBe(true);
      expect(score).toBe(0);
      expect(settled ?? false).toBe(outcome === "timeout");
      if (outcome === "timeout") expect(reason).toBe("The program ran for more than 0.5 s.");
    }
  });

  test("in memory", async () => {
    await expectWrong(
      {
        "a list": "x = [0] * 10**9",
        "many lists": "x = []\nwhile True: x.append(bytearray(1 << 20))",
        "a text": "x = 'x' * (2**31 - 1)",
        "a long integer": "x = 1 << 2**33",
      },
      ["program"],
    );
  });

  test("in output", async () => {
    const wordy = await attack(
      [
        ["program", "while True: print('x' * 1_000_000)"],
        ["program", "import os\nwhile True: os.write(1, b'x')"],
        ["program", "import sys\nsys.stdout.write('49\\n' * 10**8)"],
        ["call", "while True: print('x' * 1_000_000)"],
        ["assert", "def f(x): return ['x' * 1000] * 10**5"],
      ],
      hasty,
    );
    expect(wordy.map(({ score }) => score)).toEqual([0, 0, 0, 0, 0]);
    expect(wordy.map(({ outcome }) => outcome === "wrong" || outcome === "timeout")).toEqual(wordy.map(() => true));
    expect(wordy[0]).toMatchObject({ outcome: "wrong", reason: expect.stringContaining("wrote far more than the expected output") });
  });

  test("in depth", async () => {
    await expectWrong(
      {
        recursion: "def f(x): return f(x)\nf(1)",
        "recursion without a limit": "import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return f(x) + 1\nf(1)",
        "nested data": "x = []\nfor _ in range(10**5): x = [x]\ndef f(y): return x\nrepr(x)",
        "nested source": "eval('(' * 10**5 + ')' * 10**5)",
        "an object in itself": "x = []\nx.append(x)\ndef f(y): return x\nif __name__ == '__main__': print(x)",
      },
      ["call"],
    );
  });
});

describe("the judgement cannot be tampered with", () => {
  const LIAR = `
class Liar(BASE):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
    __lt__ = __gt__ = __le__ = __ge__ = __contains__ = __eq__
def f(x): return Liar()
`;

  test("by values that equal everything", async () => {
    await expectWrong(Object.fromEntries(["object", "int", "str", "list", "dict", "tuple", "float"].map((base) => [base, LIAR.replace("BASE", base)])), [
      "call",
      "assert",
    ]);
  });

  test("by patching what the judge might use", async () => {
    const patches = {
      builtins: "import builtins\nfor n in ('isinstance', 'type', 'len', 'all', 'any', 'sorted', 'repr', 'abs'): setattr(builtins, n, lambda *a, **k: True)",
      AssertionError: "import builtins\nbuiltins.AssertionError = type('Never', (Exception,), {'__new__': lambda *a: SystemExit(0)})",
      "assert itself": "import sys\nsys.flags = type('F', (), {'optimize': 2})()\n__debug__ if False else 0",
      json: "import json\njson.dumps = lambda *a, **k: '{\"value\":4,\"results\":[null,null]}'\njson.loads = lambda *a, **k: {'op': 'tests', 'results': [None, None]}",
      "the harness":
        "import sys\nh = sys.modules['_primekit']\nh.put = lambda *a, **k: None\nh.do_tests = h.do_call = lambda r: {'results': [None, None], 'value': 4}\nh.STEPS.clear()",
      "the harness's values": "import sys\nh = sys.modules['_primekit']\nh.dump = lambda *a: [None, None]\nh.load = lambda v: 4",
      "every module's exec": "import builtins\nbuiltins.exec = builtins.compile = lambda *a, **k: None",
      "the streams": "import sys, io\nsys.stdout = sys.stderr = io.StringIO()\nsys.stdin = None",
    };
    await expectWrong(Object.fromEntries(Object.entries(patches).map(([name, code]) => [name, `${code}\ndef f(x): return None`])));
  });

  test("by leaving before the tests", async () => {
    const exits = {
      "sys.exit": "import sys\nsys.exit(0)",
      "os._exit": "import os\nos._exit(0)",
      quit: "quit()",
      SystemExit: "raise SystemExit",
    };
    await expectWrong(exits);
    await expectWrong({ abort: "import os\nos.abort()" }, ["program"]);
    await expectWrong(Object.fromEntries(Object.entries(exits).map(([name, code]) => [name, `def f(x):\n${code.replaceAll(/^/gm, "    ")}`])), [
      "call",
      "assert",
    ]);
  });

  test("by saying what the harness says", async () => {
    const reply = '{"results":[null,null],"value":4,"reply":"{}","worn":false,"names":["f"]}';
    await expectWrong({
      "on the standard output": `print('${reply}')\ndef f(x): print('${reply}')`,
      "on the channel": `import os\ndef f(x):\n    for fd in (1000, 1001): os.write(fd, b'${reply}')\nf(1)`,
      "on the channel, and then leaving": `import os\nos.write(1000, b'${reply}')\nos._exit(0)`,
      "on every descriptor": `import os\nfor fd in range(3, 2000):\n    try: os.write(fd, b'${reply}')\n    except OSError: pass`,
      "with a frame of its own": `import os\nos.write(1, (${reply.length}).to_bytes(4, 'little') + b'${reply}')`,
    });
  });

  test("by looking for the expected values", async () => {
    const search = `
def secrets(x):
    import gc, sys
    found = set()
    frame = sys._getframe()
    while frame:
        for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
            if isinstance(value, int): found.add(value)
        frame = frame.f_back
    for o in gc.get_objects():
        try: found.update(v for v in (o.values() if isinstance(o, dict) else o) if type(v) is int)
        except Exception: pass
    texts = repr([v for v in sys.modules.get("tests", {}).__dict__.items()]) if "tests" in sys.modules else ""
    return "assert" in texts
def f(x):
    if secrets(x): return {2: 4, 7: 49}[x]
    return None
`;
    await expectWrong({ "in frames, the heap and the modules": search });
    const request =
      "import sys\ndef f(x):\n    frame = sys._getframe()\n    seen = ''\n    while frame:\n        seen += repr(frame.f_locals)\n        frame = frame.f_back\n    return 4 if 'assert' in seen or 'outputs' in seen or 'expected' in seen else None";
    await expectWrong({ "in the request": request }, ["call", "assert"]);
  });

  test("by defining the functions that the tests compare with", async () => {
    const answer = JSON.stringify({ tests: ["assert set(g(1)) == set([1, 2]) and abs(g(1)[0] - 1) < 1e-6 and sorted(g(1)) == [1, 2]"] });
    const code = `
class Same:
    def __eq__(self, other): return True
    def __lt__(self, other): return True
set = sorted = abs = len = lambda *a, **k: Same()
def g(x): return [9]
`;
    const [verdict] = await verifier.verify([codeItem(code, answer)]);
    expect(verdict.outcome, verdict.reason).toBe("wrong");
  });

  test("by forging which names it defines", async () => {
    const answer = JSON.stringify({ tests: ["assert abs(f(2) - 4) < 1e-6"] });
    const code = `
import os
class Zero(float):
    def __lt__(self, other): return True
def abs(x): return 0.0
def f(x): return 77
os.write(1000, b'{"names":["f","abs","isinstance","AssertionError"]}')
import sys
sys.modules["_primekit"].put = lambda *a: None
`;
    const [verdict] = await verifier.verify([codeItem(code, answer)]);
    expect(verdict.outcome, verdict.reason).toBe("wrong");
  });

  test("by threads, tasks and hooks left behind for the next program", async () => {
    await expectWrong({
      hooks:
        "import sys, atexit, threading, gc, signal\natexit.register(print, 4)\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)\nthreading.setprofile(print)\ngc.callbacks.append(lambda *a: 1/0)\nsys.meta_path.clear()\nsys.modules.clear()",
      "a task": "import asyncio\nasync def late():\n    while True: await asyncio.sleep(0)\nloop = asyncio.new_event_loop()\nloop.create_task(late())",
      "a dying object": "class D:\n    def __del__(self):\n        self.x = D()\nd = D()\ndel d",
    });
    const bent =
      "import ctypes, gc\nfor d in gc.get_referents(int.__dict__):\n    if type(d) is dict:\n        d['__eq__'] = lambda a, b: True\n        d['__mul__'] = lambda a, b: 4";
    await expectWrong({ "types bent": bent }, ["assert"]);
  });

  test("by odd texts", async () => {
    await expectWrong({
      "NUL in the output": "print('4\\0')\ndef f(x): return '4\\0'",
      "a lone surrogate": "def f(x): return '\\ud800'\nprint('\\ud800')",
      "bytes that are no text": "import os\nos.write(1, bytes(range(128, 256)))\ndef f(x): return bytes(range(256))",
      "NUL in the source": "x = '\0'",
      "right-to-left": "def f(x): return '\u202e94'\nprint('\u202e94')",
      "a name that is no value": "def f(x): return NotImplemented",
    });
  });
});

test("the same program gets the same verdict, random numbers and hashes included", async () => {
  const code = "import random, os, uuid\nprint(random.random(), hash('a'), os.urandom(4).hex(), uuid.uuid4(), {str(i) for i in range(30)})";
  const fractions = codeVerifier({ processes: 2, memoryLimit: 128 });
  try {
    const item = codeItem(
      `${code}\ndef f(x): return str((random.random(), hash('a'), os.urandom(4).hex()))`,
      JSON.stringify({ fn_name: "f", inputs: [[1]], outputs: ["?"] }),
    );
    const reasons = (await fractions.verify([item, item, item])).map(({ reason }) => reason);
    expect(new Set(reasons).size).toBe(1);
  } finally {
    await fractions.close?.();
  }
});
