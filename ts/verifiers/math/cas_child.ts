// The symbolic engine in a process of its own: questions in, answers out, one JSON value a line. cas_process.ts starts, limits and kills it.
// Nothing else of primekit is imported here.
import { ComputeEngine, type Expression } from "@cortex-js/compute-engine";

type Json = Parameters<ComputeEngine["box"]>[0];

const engine = new ComputeEngine();
const LIMIT_MS = Number(process.argv[2] ?? 2000); // the parent's clock is the limit that counts; this one can save the process

/** true or false where the engine is sure; undefined where it cannot tell. */
function areEqual(left: Json, right: Json): boolean | undefined {
  const difference = engine.box(["Subtract", left, right] as Json);
  const series = /"(?:Sum|Product)"/.test(JSON.stringify([left, right])); // added up in part only where they are long: no proof of a difference
  for (const form of forms(difference)) {
    if (form.is(0)) return true;
    if (!series && form.unknowns.length === 0 && isNonZero(form.N())) return false;
  }
  return undefined;
}

const isNonZero = (value: Expression): boolean => Number.isFinite(value.re) && Number.isFinite(value.im) && Math.hypot(value.re, value.im) > 1e-9;

/** The difference as it is (which already tells equal polynomials), then simplified in one way after the other. */
function* forms(difference: Expression): Generator<Expression> {
  yield difference;
  const simple = difference.simplify();
  yield simple;
  const expanded = engine.box(["ExpandAll", simple.json] as Json).evaluate();
  yield expanded;
  yield expanded.simplify();
  const numerator = engine.box(["Numerator", ["Together", difference.json]] as Json).evaluate();
  yield engine
    .box(["ExpandAll", numerator.json] as Json)
    .evaluate()
    .simplify();
  yield difference.evaluate();
}

function reply(line: string): string {
  const { id, left, right } = JSON.parse(line);
  try {
    return JSON.stringify({ id, equal: engine.withTimeLimit(LIMIT_MS, () => areEqual(left, right)) });
  } catch (error) {
    if (error instanceof Error && error.name === "CancellationError") return '{"late":true,"gaveUp":true}';
    return JSON.stringify({ id, error: error instanceof Error ? error.message : String(error) });
  }
}

let rest = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (chunk: string) => {
  const lines = (rest + chunk).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) process.stdout.write(`${reply(line)}\n`);
});
areEqual(["Power", ["Add", "v1", 1], 2] as Json, ["Power", ["Add", 1, "v1"], 2] as Json); // warm up before the clock runs
process.stdout.write('{"ready":true}\n');
