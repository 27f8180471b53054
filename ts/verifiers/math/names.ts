// "x = 5" is the answer 5 with a name. What counts as a name, and what a relation is worth as an answer.
import { exactValue } from "./exact.ts";
import { type Expression, list, operation, variablesOf, writeExpression } from "./expression.ts";
import { same } from "./rational.ts";

export interface Named {
  name: string | undefined; // canonical: f(n) and f(x) have the same
  value: Expression;
}

/** The answer a relation states: the right side of "name = …" (or the left of "… = name"), the last part of a chain of numbers. */
export function named(e: Expression): Named {
  if (e.kind !== "relation") return { name: undefined, value: e };
  const first = e.args[0];
  const last = e.args[e.args.length - 1];
  if (e.ops[0] === "in" && e.ops.length === 1 && isName(first)) return { name: writeExpression(first), value: last };
  if (!e.ops.every((op) => op === "=")) return { name: undefined, value: e };
  if (isName(first)) return renameArgument(first, last);
  if (isName(last) && variablesOf(first).length === 0) return { name: writeExpression(last), value: first };
  if (e.args.every((arg) => variablesOf(arg).length === 0) && !isFalse(e.args)) return { name: undefined, value: last };
  return { name: undefined, value: e };
}

/** p = 5, q = 2, p = 7, q = 2 as the pairs (5, 2), (7, 2): names that come round again. */
export function regroup(items: Expression[]): Expression[] {
  const parts = items.map(named);
  const names = parts.map((part) => part.name);
  const cycle = names.indexOf(names[0], 1);
  if (names[0] === undefined || cycle < 2 || names.length % cycle !== 0 || names.some((name, i) => name !== names[i % cycle])) return items;
  return Array.from({ length: names.length / cycle }, (_, i) => tuple(parts.slice(i * cycle, (i + 1) * cycle).map((part) => part.value)));
}

/** p = 3, q = 2 as (3, 2), where every item has a name of its own. */
export function assignmentsAsTuple(items: Expression[]): Expression | undefined {
  const parts = items.map(named);
  const distinct = new Set(parts.map((part) => part.name));
  return distinct.size === items.length && !distinct.has(undefined) ? tuple(parts.map((part) => part.value)) : undefined;
}

/** The interval or its union that an inequality in one variable with constant bounds describes: 2 <= x < 5 is [2, 5). */
export function asInterval(e: Expression): Named | undefined {
  if (e.kind === "sequence" && e.open === "" && e.items.length > 1) {
    const parts = e.items.map(asInterval);
    if (parts.some((part) => part === undefined || part.name !== parts[0]?.name)) return undefined;
    return { name: parts[0]?.name, value: { kind: "union", op: "cup", args: parts.map((part) => (part as Named).value) } };
  }
  if (e.kind !== "relation" || !e.ops.every((op) => ["<", "<=", ">", ">="].includes(op))) return undefined;
  const at = e.args.findIndex((arg) => arg.kind === "symbol" && variablesOf(arg).length === 1);
  if (at < 0 || e.args.some((arg, i) => i !== at && variablesOf(arg).length > 0) || e.args.length > 3 || (e.args.length === 3 && at !== 1)) return undefined;
  const name = writeExpression(e.args[at]);
  const bounds = e.ops.map((op, i) => bound(op, e.args[i === at ? i + 1 : i], i === at));
  const low = bounds.find((b) => b.low) ?? { value: operation("negate", INFINITY), closed: false };
  const high = bounds.find((b) => !b.low) ?? { value: INFINITY, closed: false };
  return { name, value: { kind: "sequence", open: low.closed ? "[" : "(", close: high.closed ? "]" : ")", items: [low.value, high.value] } };
}

// --- internal ---

const INFINITY: Expression = { kind: "symbol", name: "infinity" };

const tuple = (items: Expression[]): Expression => (items.length === 1 ? items[0] : ({ ...list(items), open: "(", close: ")" } as Expression));

function bound(op: string, value: Expression, variableFirst: boolean): { low: boolean; closed: boolean; value: Expression } {
  return { low: op.startsWith(">") === variableFirst, closed: op.endsWith("="), value };
}

/** 7 = 5: numbers in a chain that are known to differ. */
function isFalse(chain: Expression[]): boolean {
  const values = chain.map(exactValue).filter((value) => value !== undefined);
  return values.some((value) => !same(value, values[0]));
}

/** A symbol, f(x), (p, q), |AB|, AB, \angle ABC, S : T. */
function isName(e: Expression): boolean {
  if (e.kind === "symbol") return variablesOf(e).length === 1;
  if (e.kind === "call")
    return e.name === "abs"
      ? isName(e.args[0])
      : (/^.$|[\\_']/.test(e.name) && e.args.every((arg) => arg.kind === "symbol")) || (e.name === "prime" && isName(e.args[0]));
  if (e.kind === "sequence") return e.items.length > 0 && e.items.every(isName);
  if (e.kind !== "operation") return false;
  if (e.op === "ratio") return e.args.every(isName);
  const parts = e.op === "multiply" ? e.args : [];
  return parts.length > 0 && parts.every((part) => part.kind === "symbol" && /^(?:[A-Z]|\\(?:angle|triangle|overline|measuredangle)|.*_)/.test(part.name));
}

/** f(n) = 2n as f(#1) = 2·#1, so that the argument's letter does not matter. */
function renameArgument(name: Expression, value: Expression): Named {
  if (name.kind !== "call" || name.name === "abs" || name.name === "prime") return { name: writeExpression(name), value };
  const places = new Map(name.args.map((arg, i) => [arg.kind === "symbol" ? arg.name : "", `#${i + 1}`]));
  return { name: writeExpression(rename(name, places)), value: rename(value, places) };
}

function rename(e: Expression, places: ReadonlyMap<string, string>): Expression {
  switch (e.kind) {
    case "symbol":
      return places.has(e.name) ? { ...e, name: places.get(e.name) as string } : e;
    case "operation":
    case "call":
    case "relation":
    case "union":
      return { ...e, args: e.args.map((arg) => rename(arg, places)) } as Expression;
    case "sequence":
      return { ...e, items: e.items.map((item) => rename(item, places)) };
    case "quantity":
      return { ...e, value: rename(e.value, places) };
    case "big":
      return { ...e, from: rename(e.from, places), to: rename(e.to, places), body: rename(e.body, places) };
    default:
      return e;
  }
}
