// Values nobody should pass, for tests that throw them at every function.
import type { Random } from "./random.ts";

const TYPED = [Int8Array, Uint8Array, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array];

/** Some value of any kind, nearly always wrong: numbers of every sort, odd typed arrays, detached buffers, objects that throw. */
export function badValue(random: Random): unknown {
  const n = random.integer(0, 20);
  const makers: (() => unknown)[] = [
    () => undefined,
    () => null,
    () =>
      random.pick([
        Number.NaN,
        Number.POSITIVE_INFINITY,
        Number.NEGATIVE_INFINITY,
        -0,
        -1,
        0,
        0.5,
        1,
        2 ** 31 - 1,
        2 ** 31,
        2 ** 32,
        2 ** 53,
        -(2 ** 63),
        1e308,
      ]),
    () => random.integer(-5, 50),
    () => random.pick([0n, 1n, -1n, 2n ** 63n, 2n ** 64n, 2n ** 200n]),
    () => random.pick(["", "x", "float32", "value", "gradient", "\0", "model.norm.weight", "../", "ä\ud800"]),
    () => random.pick([true, false]),
    () => Symbol("bad"),
    () => ({}),
    () => [],
    () => Array.from({ length: n }, () => random.integer(-3, 60)),
    () => () => undefined,
    () => () => {
      throw new Error("thrown on purpose");
    },
    () => Promise.resolve(random.integer(0, 9)),
    () => new (random.pick(TYPED))(n).fill(random.integer(-2, 40)),
    () => new Int32Array(n).map(() => random.integer(-2, 40)),
    () => new Int32Array(random.integer(1, 4)).map(() => random.pick([-(2 ** 31), -1, 0, 1, 2, 4, 7, 2 ** 31 - 1])),
    () => new Float32Array(n).fill(random.pick([Number.NaN, Number.POSITIVE_INFINITY, 0, 1e38])),
    () => new BigUint64Array(n).fill(2n ** 64n - 1n),
    () => new Int32Array(new SharedArrayBuffer(4 * n)),
    () => detached(n),
    () => shrunk(n),
    () => new Float32Array(new ArrayBuffer(4 * n + 12), 4, n),
    () => random.pick([new ArrayBuffer(n), new DataView(new ArrayBuffer(8)), new Date(), /x/, new Map()]),
    () => throwing(),
    () => random.pick([globalThis, Math, Int32Array, AbortSignal.abort()]),
    () => Object.create(null),
  ];
  return random.pick(makers)();
}

/** An object all of whose properties throw when read. */
export function throwing(): object {
  return new Proxy(
    {},
    {
      get() {
        throw new Error("read on purpose");
      },
    },
  );
}

function detached(n: number): Int32Array {
  const array = new Int32Array(n);
  structuredClone(array, { transfer: [array.buffer] });
  return array;
}

function shrunk(n: number): Int32Array {
  const buffer = new ArrayBuffer(4 * n + 4, { maxByteLength: 4 * n + 64 });
  const array = new Int32Array(buffer, 0, n);
  buffer.resize(0);
  return array;
}
