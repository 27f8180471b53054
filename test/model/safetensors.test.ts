// The reader of safetensors headers: what the format allows is read, everything else is one clear error; seeded mutations of a file.
// PRIMEKIT_FUZZ sets the number of mutations (the full count is 100,000; the native side's are in test/native/model_test.cpp).
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PrimekitError } from "../../ts/errors.ts";
import { Model } from "../../ts/model.ts";
import { makeTensorHeader, parseTensorFile, readTensorFile, type TensorFile } from "../../ts/safetensors.ts";
import { fixtureDir } from "../support/models.ts";
import { Random } from "../support/random.ts";

setDefaultTimeout(600_000); // the full count, on a busy machine

const folder = mkdtempSync(join(tmpdir(), "primekit-safetensors-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file of the header's text and so many bytes of data. */
function fileOf(header: string | Uint8Array, dataBytes: number, claimed?: bigint): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const parse = (bytes: Uint8Array) => parseTensorFile("some.safetensors", bytes.length, (begin, length) => bytes.slice(begin, begin + length));
const entry = (begin: number, end: number, shape = [(end - begin) / 4], dtype = "F32") => ({ dtype, shape, data_offsets: [begin, end] });
const header = (entries: Record<string, unknown>) => JSON.stringify(entries);

describe("what the format allows", () => {
  test("types, scalars, empty tensors, any order, padding, metadata, odd names", () => {
    const text = `${header({
      __metadata__: { format: "pt", note: '[{"a":1}]' },
      z: entry(8, 12, []),
      "../x": entry(0, 8, [2, 1]),
      nothing: entry(12, 12, [0, 5]),
      half: { dtype: "BF16", shape: [3], data_offsets: [12, 18] },
      sixteen: { dtype: "F16", shape: [1], data_offsets: [18, 20] },
    })}   `;
    const { tensors, metadata } = parse(fileOf(text, 20));
    expect(metadata).toEqual({ format: "pt", note: '[{"a":1}]' });
    expect([...tensors.keys()].sort()).toEqual(["../x", "half", "nothing", "sixteen", "z"]);
    expect(tensors.get("z")).toMatchObject({ type: "F32", shape: [], begin: 8 + text.length + 8, end: 8 + text.length + 12 });
  });

  test("what makeTensorHeader writes", () => {
    const written = makeTensorHeader([
      { name: "a", type: "F32", shape: [2, 3] },
      { name: "b", type: "BF16", shape: [5] },
    ]);
    expect(written.length % 8).toBe(0);
    const bytes = new Uint8Array(written.length + 34);
    bytes.set(written);
    expect([...parse(bytes).tensors.values()].map(({ name, begin, end }) => [name, begin - written.length, end - written.length])).toEqual([
      ["a", 0, 24],
      ["b", 24, 34],
    ]);
  });

  test("a file on the disk", () => {
    const { tensors } = readTensorFile(join(fixtureDir("qwen2_tied"), "model.safetensors"));
    expect(tensors.get("model.embed_tokens.weight")).toMatchObject({ type: "F32", shape: [97, 32] });
  });
});

describe("everything else is an error that says what is wrong", () => {
  const one = header({ a: entry(0, 4) });
  const cases: [string, Uint8Array, RegExp][] = [
    ["an empty file", new Uint8Array(0), /0 bytes/],
    ["seven bytes", new Uint8Array(7), /7 bytes/],
    ["a header longer than the file", fileOf(one, 4, 1000n), /claims 1000 bytes/],
    ["a header of 2^64 - 1 bytes", fileOf(one, 4, 2n ** 64n - 1n), /claims 18446744073709551615/],
    ["a header of no bytes", fileOf(one, 4, 0n), /begin with \{/],
    ["a header cut short", fileOf(one, 4, BigInt(one.length - 2)), /cannot be read/],
    ["a header that begins with a blank", fileOf(` ${one}`, 4), /begin with \{/],
    ["a header that is no JSON", fileOf("{hello}", 4), /cannot be read/],
    ["a header that is no UTF-8", fileOf(Uint8Array.of(0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d), 4), /UTF-8/],
    ["a list", fileOf("[]", 4), /begin with \{/],
    ["a tensor given twice", fileOf(`{"a":${JSON.stringify(entry(0, 4))},"a":${JSON.stringify(entry(0, 4))}}`, 4), /"a" twice/],
    ["a tensor given twice, once in escapes", fileOf(`{"a":${JSON.stringify(entry(0, 4))},"\\u0061":${JSON.stringify(entry(0, 4))}}`, 4), /"a" twice/],
    ["a key of a tensor given twice", fileOf('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4), /"dtype" twice/],
    ["tensors that overlap", fileOf(header({ a: entry(0, 8), b: entry(4, 12) }), 12), /"a" and "b" overlap/],
    ["two tensors in one place", fileOf(header({ a: entry(0, 8), b: entry(0, 8) }), 8), /overlap/],
    ["a hole", fileOf(header({ a: entry(0, 4), b: entry(8, 12) }), 12), /belong to no tensor/],
    ["bytes after the last tensor", fileOf(one, 9), /5 bytes after/],
    ["a tensor beyond the end", fileOf(header({ a: entry(0, 4000) }), 4), /ends at byte/],
    ["offsets the wrong way round", fileOf(header({ a: { ...entry(0, 4), data_offsets: [4, 0] } }), 4), /needs 4 bytes, but has -4/],
    ["negative offsets", fileOf(header({ a: { ...entry(0, 4), data_offsets: [-4, 0] } }), 4), /data_offsets/],
    ["offsets with fractions", fileOf(header({ a: { ...entry(0, 4), data_offsets: [0.5, 4.5] } }), 4), /data_offsets/],
    ["offsets of 1e300", fileOf(header({ a: { ...entry(0, 4), data_offsets: [1e300, 1e300] } }), 4), /data_offsets/],
    ["one offset", fileOf(header({ a: { ...entry(0, 4), data_offsets: [4] } }), 4), /data_offsets/],
    ["a size of NaN", fileOf('{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', 4), /cannot be read/],
    ["a size beyond all numbers", fileOf('{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}', 4), /shape/],
    ["sizes whose product overflows", fileOf(header({ a: { ...entry(0, 4), shape: [2 ** 40, 2 ** 40] } }), 4), /needs/],
    ["a negative size", fileOf(header({ a: { ...entry(0, 4), shape: [-1, -1] } }), 4), /shape/],
    ["a shape that is a number", fileOf(header({ a: { ...entry(0, 4), shape: 1 } }), 4), /shape/],
    ["an unknown type", fileOf(header({ a: { ...entry(0, 4), dtype: "I64" } }), 4), /I64/],
    ["a type that is every object's own", fileOf(header({ a: { ...entry(0, 4), dtype: "constructor" } }), 4), /constructor/],
    ["a tensor that is null", fileOf('{"a":null}', 0), /type undefined/],
    ["a tensor that is a list", fileOf('{"a":[]}', 0), /type undefined/],
    ["metadata that is a number", fileOf('{"__metadata__":3}', 0), /__metadata__/],
    ["metadata of numbers", fileOf('{"__metadata__":{"a":3}}', 0), /__metadata__/],
    ["a tensor called __proto__", fileOf('{"__proto__":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', 4), /"__proto__" of shape \[2\]/],
  ];
  for (const [title, bytes, message] of cases) {
    test(title, () => {
      const error = errorOf(() => parse(bytes));
      expect(error).toBeInstanceOf(PrimekitError);
      expect((error as PrimekitError).code).toBe("ERR_MODEL_FORMAT");
      expect((error as Error).message).toMatch(message);
      expect((error as Error).message).toContain("some.safetensors");
    });
  }

  test("the same from the disk, and a file that is not there", () => {
    const file = join(folder, "broken.safetensors");
    writeFileSync(file, fileOf(one, 0));
    expect((errorOf(() => readTensorFile(file)) as PrimekitError).code).toBe("ERR_MODEL_FORMAT");
    expect((errorOf(() => readTensorFile(join(folder, "nothing"))) as PrimekitError).code).toBe("ERR_IO");
    expect((errorOf(() => readTensorFile(folder)) as PrimekitError).code).toBe("ERR_IO");
  });
});

const count = Number(process.env.PRIMEKIT_FUZZ ?? 20_000);
test(`${count} seeded mutations of a file: read soundly or refused, nothing else`, () => {
  const whole = readFileSync(join(fixtureDir("llama_bias"), "model.safetensors"));
  const random = new Random(1);
  let read = 0;
  let refused = 0;
  for (let i = 0; i < count; i++) {
    const bytes = mutate(whole, random);
    try {
      expectSound(parse(bytes), bytes.length);
      read++;
    } catch (error) {
      if (!(error instanceof PrimekitError && error.code === "ERR_MODEL_FORMAT")) throw error;
      refused++;
    }
  }
  expect(read + refused).toBe(count);
  expect(read).toBeGreaterThan(count / 100); // mutations of the data, or of names
  expect(refused).toBeGreaterThan(count / 4);
});

test("300 of them from the disk into a model: loaded or refused, and never half", async () => {
  const whole = readFileSync(join(fixtureDir("llama_bias"), "model.safetensors"));
  writeFileSync(join(folder, "config.json"), readFileSync(join(fixtureDir("llama_bias"), "config.json")));
  const random = new Random(2);
  const outcomes = { loaded: 0, refused: 0 };
  for (let i = 0; i < 300; i++) {
    writeFileSync(join(folder, "model.safetensors"), mutate(whole, random));
    try {
      const model = await Model.load(folder, { trainable: false });
      expect((await model.native.readParameter("model.norm.weight", "value")).length).toBe(30);
      model.close();
      outcomes.loaded++;
    } catch (error) {
      if (!(error instanceof PrimekitError && error.code === "ERR_MODEL_FORMAT")) throw error;
      outcomes.refused++;
    }
  }
  expect(outcomes.loaded).toBeGreaterThan(3);
  expect(outcomes.refused).toBeGreaterThan(100);
});

function errorOf(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error("no error came");
}

/** Every place lies within the file, apart from all others, and is as large as its shape says. */
function expectSound({ tensors }: TensorFile, size: number): void {
  const places = [...tensors.values()].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  for (const { name, type, shape, begin, end } of places) {
    const bytes = shape.reduce((product, n) => product * n, type === "F32" ? 4 : 2);
    if (!(Number.isSafeInteger(begin) && begin >= at && end <= size && end - begin === bytes)) throw new Error(`${name} is at ${begin}..${end} of ${size}`);
    at = end;
  }
}

/** One to four changes: bytes of the length, of the header, a number or a word of it, cut, grown, or bytes moved about. */
function mutate(whole: Uint8Array, random: Random): Uint8Array {
  let bytes: Uint8Array = new Uint8Array(whole);
  const headerEnd = 8 + Number(new DataView(whole.buffer, whole.byteOffset).getBigUint64(0, true));
  const at = (low: number, high: number) => low + Math.floor(random.uniform() * Math.max(1, Math.min(high, bytes.length) - low));
  const changes = 1 + Math.floor(random.uniform() * 4);
  for (let i = 0; i < changes && bytes.length > 8; i++) {
    const kind = Math.floor(random.uniform() * 8);
    if (kind === 0) bytes[at(0, 8)] ^= 1 << Math.floor(random.uniform() * 8);
    else if (kind === 1) bytes[at(8, headerEnd)] = Math.floor(random.uniform() * 256);
    else if (kind === 2) bytes = bytes.slice(0, at(0, bytes.length));
    else if (kind === 3) bytes = widened(bytes, headerEnd, at(0, 64));
    else if (kind === 4) bytes[at(headerEnd, bytes.length)] ^= 255;
    else bytes = rewrite(bytes, random);
  }
  return bytes;
}

/** The same with `more` zeros put in at a place. */
function widened(bytes: Uint8Array, place: number, more: number): Uint8Array {
  const out = new Uint8Array(bytes.length + more);
  out.set(bytes.subarray(0, place));
  out.set(bytes.subarray(place), Math.min(place, bytes.length) + more);
  return out;
}

const WORDS = [
  "0",
  "-1",
  "4",
  "1e999",
  "9007199254740993",
  "4294967296",
  "18446744073709551616",
  "null",
  "[]",
  "{}",
  '"F16"',
  '"BF16"',
  '"F64"',
  "true",
  '"../x"',
];

/** A number or a quoted word of the header replaced, with the header's length put right, so that what follows is reached. */
function rewrite(bytes: Uint8Array, random: Random): Uint8Array {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (!(length <= bytes.length - 8)) return bytes;
  const text = new TextDecoder().decode(bytes.subarray(8, 8 + length));
  const places = [...text.matchAll(/\d+|"[^"]*"/g)];
  if (places.length === 0) return bytes;
  const place = random.pick(places);
  const changed = text.slice(0, place.index) + random.pick(WORDS) + text.slice(place.index + place[0].length);
  const start = fileOf(changed, bytes.length - 8 - length);
  start.set(bytes.subarray(8 + length), start.length - (bytes.length - 8 - length));
  return start;
}
