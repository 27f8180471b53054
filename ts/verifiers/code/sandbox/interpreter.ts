// One Python interpreter (Pyodide) behind the gate, whose whole memory goes back to a fixed image between programs.
import { type Gate, installGate } from "./gate.ts";
import { HARNESS, INSTALL, SEAL } from "./python.ts";
import { Sink, Stop, Streams } from "./streams.ts";

export interface InterpreterOptions {
  pyodide: string; // path of the package's folder, with a slash at its end
  memoryLimit: number; // bytes
}

interface Exports {
  memory: WebAssembly.Memory;
  __stack_pointer: WebAssembly.Global;
  malloc(size: number): number;
  PyRun_SimpleString(text: number): number;
}

interface Pyodide {
  runPython(code: string): unknown;
  globals: { set(name: string, value: unknown): void };
  makeMemorySnapshot(): Uint8Array;
  FS: { streams: { node: { mode: number } }[]; isFile(mode: number): boolean; isDir(mode: number): boolean };
}

/** A snapshot to boot from: Pyodide with the harness and the usual modules imported. It takes seconds to make and is the same every time. */
export async function makeSnapshot(options: InterpreterOptions): Promise<Uint8Array> {
  const { pyodide } = await boot(options, { _makeSnapshot: true, env: { PYTHONHASHSEED: "0", HOME: "/" } });
  pyodide.globals.set("_source", HARNESS);
  pyodide.runPython(INSTALL);
  return pyodide.makeMemorySnapshot();
}

export class Interpreter {
  readonly #exports: Exports;
  readonly #gate: Gate;
  readonly #image: Uint8Array;
  readonly #stackPointer: number;
  readonly #entry: number; // address of the text that runs one step

  private constructor({ exports, gate }: Booted) {
    this.#exports = exports;
    this.#gate = gate;
    if (run(exports, text(exports, SEAL)) !== 0) throw new Error("The interpreter could not be sealed.");
    this.#entry = text(exports, "import _primekit; _primekit.step()");
    gate.close();
    this.#stackPointer = exports.__stack_pointer.value;
    this.#image = new Uint8Array(exports.memory.buffer).slice();
  }

  static async load(snapshot: Uint8Array, options: InterpreterOptions): Promise<Interpreter> {
    return new Interpreter(await boot(options, { _loadSnapshot: snapshot }));
  }

  /** Bytes of WebAssembly memory: it never shrinks. */
  get size(): number {
    return this.#exports.memory.buffer.byteLength;
  }

  /** Every byte as it was: a fresh interpreter. The streams are the next program's. */
  reset(streams: Partial<Streams> = {}): void {
    const bytes = new Uint8Array(this.#exports.memory.buffer);
    bytes.set(this.#image);
    bytes.fill(0, this.#image.length);
    this.#exports.__stack_pointer.value = this.#stackPointer;
    this.#gate.streams = Object.assign(new Streams(), streams);
  }

  /** One request to the harness and its reply, of at most `limit` bytes. Throws Stop when the program ended or left the sandbox's rules. */
  step(request: Uint8Array, limit: number): Uint8Array {
    const { streams } = this.#gate;
    streams.inbox = request;
    streams.outbox = new Sink(limit, "The program handed over far more than the expected result.");
    try {
      if (run(this.#exports, this.#entry) !== 0) throw new Stop("The program broke the interpreter.", true);
    } catch (error) {
      if (error instanceof Stop) throw error;
      throw new Stop(`The program crashed the interpreter (${error instanceof Error ? error.message : String(error)}).`, false);
    }
    return streams.outbox.take();
  }

  /** What the program has written to its standard output since the last call. */
  output(): Uint8Array {
    return this.#gate.streams.stdout?.take() ?? new Uint8Array();
  }
}

// --- internal ---

interface Booted {
  pyodide: Pyodide;
  exports: Exports;
  gate: Gate;
}

/** Loads Pyodide with the gate in place (open): Pyodide hands its imports to WebAssembly.instantiate, which is where they are caught. */
async function boot({ pyodide: folder, memoryLimit }: InterpreterOptions, options: object): Promise<Booted> {
  const { loadPyodide } = await import(`${folder}pyodide.mjs`);
  const instantiate = WebAssembly.instantiate;
  let instance: WebAssembly.Instance | undefined;
  let gate: Gate | undefined;
  let pyodide: Pyodide | undefined;
  const inside = {
    memory: () => (instance as WebAssembly.Instance).exports.memory as WebAssembly.Memory,
    isPlain: (fd: number) => {
      const { FS } = pyodide as Pyodide;
      return FS.isFile(FS.streams[fd].node.mode) || FS.isDir(FS.streams[fd].node.mode);
    },
  };
  const caught = async (source: Uint8Array<ArrayBuffer>, imports?: { env?: Record<string, never> }) => {
    if (imports?.env && "fd_write" in imports.env) gate = installGate(imports.env, inside, memoryLimit);
    const result = (await instantiate(source, imports)) as unknown as WebAssembly.WebAssemblyInstantiatedSource;
    if (gate) instance = result.instance;
    return result;
  };
  Object.assign(WebAssembly, { instantiate: caught });
  try {
    pyodide = (await loadPyodide({ indexURL: folder, enableRunUntilComplete: false, ...options })) as Pyodide;
    if (!instance || !gate) throw new Error("Pyodide was instantiated past the gate.");
    // The gate holds on to `pyodide` (isPlain), so that no finalizer of its objects ever runs.
    return { pyodide, exports: instance.exports as unknown as Exports, gate };
  } finally {
    Object.assign(WebAssembly, { instantiate });
  }
}

function text({ malloc, memory }: Exports, code: string): number {
  const bytes = new TextEncoder().encode(`${code}\0`);
  const at = malloc(bytes.length);
  new Uint8Array(memory.buffer).set(bytes, at);
  return at;
}

const run = (exports: Exports, at: number): number => exports.PyRun_SimpleString(at);
