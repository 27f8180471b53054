// Equations and inequalities up to rearrangement.
import { type Context, type Decision, decide } from "./decision.ts";
import { isEvaluable } from "./evaluate.ts";
import { type Expression, operation, type RelationOp, writeExpression } from "./expression.ts";
import { rational } from "./rational.ts";
import { sampleRatio } from "./sample.ts";
import { compareScalars } from "./scalar.ts";

/** Equal when one is the other multiplied by a constant (a negative one turns an inequality round) after all is moved to one side. */
export function compareRelations(gold: Expression, answer: Expression, context: Context): Decision {
  if (gold.kind !== "relation" || answer.kind !== "relation") return decide(false, "structure", "one is an equation or inequality, the other is not");
  if (gold.args.length !== 2 || answer.args.length !== 2) return compareChains(gold, answer, context);
  const [a, b] = [oneSide(gold), oneSide(answer)];
  if (a.op !== b.op) return decide(false, "structure", "the relations differ");
  if (!isEvaluable(a.difference) || !isEvaluable(b.difference)) return compareChains(gold, answer, context);
  const factor = sampleRatio(a.difference, b.difference);
  if (factor === undefined) return decide(false, "sampling", "one is no multiple of the other");
  if (factor < 0 && a.op !== "=" && a.op !== "!=") return decide(false, "sampling", "the inequality points the other way");
  const constant = nearRational(factor);
  if (!constant) return decide(true, "sampling", `one is ${factor.toPrecision(8)} times the other at every seeded point`);
  return compareScalars(a.difference, operation("multiply", constant, b.difference), context);
}

// --- internal ---

type Relation = Expression & { kind: "relation" };

const TURNED: Partial<Record<RelationOp, RelationOp>> = { ">": "<", ">=": "<=" };

/** left - right with "=", "!=", "<" or "<=". */
function oneSide(e: Relation): { op: RelationOp; difference: Expression } {
  const turned = TURNED[e.ops[0]];
  const [left, right] = turned ? [e.args[1], e.args[0]] : e.args;
  return { op: turned ?? e.ops[0], difference: operation("add", left, operation("negate", right)) };
}

/** Chains and what cannot be evaluated: the same relations between the same sides, read from either end. */
function compareChains(gold: Relation, answer: Relation, context: Context): Decision {
  const turn = (op: RelationOp): RelationOp => (({ "<": ">", ">": "<", "<=": ">=", ">=": "<=" }) as Partial<Record<RelationOp, RelationOp>>)[op] ?? op;
  const backwards: Relation = { kind: "relation", ops: answer.ops.map(turn).reverse(), args: [...answer.args].reverse() };
  for (const other of [answer, backwards]) {
    if (other.ops.join() !== gold.ops.join()) continue;
    const parts = gold.args.map((arg, i) =>
      writeExpression(arg) === writeExpression(other.args[i]) ? decide(true, "text", "") : compareScalars(arg, other.args[i], context),
    );
    if (parts.every((part) => part.equal === true)) return decide(true, "structure", "both sides are equal");
    if (parts.every((part) => part.equal !== false)) return decide(undefined, "structure", "a side cannot be evaluated");
  }
  return decide(false, "structure", "the sides differ");
}

/** The fraction with a denominator of at most 10,000 that a double stands for, if there is one. */
function nearRational(x: number): Expression | undefined {
  for (let d = 1; d <= 10_000; d++) {
    const n = Math.round(x * d);
    if (Math.abs(x - n / d) <= 1e-12 * Math.max(1, Math.abs(x)) && Math.abs(n) < 2 ** 50)
      return { kind: "number", value: rational(BigInt(n), BigInt(d)), decimal: false };
  }
  return undefined;
}
