// What an answer is read as: a small tree.
import type { Rational } from "./rational.ts";

export type Expression =
  | { kind: "number"; value: Rational; decimal: boolean } // decimal: written with a point or a power of ten
  | { kind: "symbol"; name: string } // variables, and the constants pi, e, i and infinity
  | { kind: "operation"; op: "add" | "multiply" | "divide" | "power" | "negate" | "plusminus" | "minusplus" | "ratio"; args: Expression[] }
  | { kind: "call"; name: string; args: Expression[] } // known functions by name; others keep theirs, as in f(x)
  | { kind: "big"; op: string; index: string; from: Expression; to: Expression; body: Expression } // sum and product
  | { kind: "sequence"; open: Bracket; close: Bracket; items: Expression[] } // "" is a bare list: several answers
  | { kind: "relation"; ops: RelationOp[]; args: Expression[] }
  | { kind: "union"; op: "cup" | "cap" | "setminus"; args: Expression[] }
  | { kind: "matrix"; rows: Expression[][] }
  | { kind: "numeral"; digits: string; base: string } // 101_2
  | { kind: "quantity"; value: Expression; unit: string } // "%" and "°" are units too
  | { kind: "text"; text: string };

export type Bracket = "" | "(" | ")" | "[" | "]" | "{" | "}" | "<" | ">";
export type RelationOp = "=" | "!=" | "<" | ">" | "<=" | ">=" | "in" | "congruent";

/** A text that two expressions share only when they are written alike (up to spaces and LaTeX spelling). */
export function writeExpression(e: Expression): string {
  switch (e.kind) {
    case "number":
      return `${e.value.n}/${e.value.d}`;
    case "symbol":
      return e.name;
    case "operation":
      return `${e.op}(${e.args.map(writeExpression)})`;
    case "call":
      return `${e.name}[${e.args.map(writeExpression)}]`;
    case "big":
      return `${e.op}(${e.index},${writeExpression(e.from)},${writeExpression(e.to)},${writeExpression(e.body)})`;
    case "sequence":
      return `seq${e.open}${e.items.map(writeExpression)}${e.close}`;
    case "relation":
      return `rel(${e.ops.join("|")};${e.args.map(writeExpression)})`;
    case "union":
      return `${e.op}(${e.args.map(writeExpression)})`;
    case "matrix":
      return `matrix(${e.rows.map((row) => row.map(writeExpression).join()).join(";")})`;
    case "numeral":
      return `${e.digits}_${e.base}`;
    case "quantity":
      return `${writeExpression(e.value)} ${e.unit}`;
    case "text":
      return JSON.stringify(e.text);
  }
}

/** The parts of an expression, of any kind. */
export function children(e: Expression): Expression[] {
  switch (e.kind) {
    case "operation":
    case "call":
    case "relation":
    case "union":
      return e.args;
    case "sequence":
      return e.items;
    case "matrix":
      return e.rows.flat();
    case "big":
      return [e.from, e.to, e.body];
    case "quantity":
      return [e.value];
    default:
      return [];
  }
}

/** Does `test` hold for the expression or a part of it? */
export function some(e: Expression, test: (part: Expression) => boolean): boolean {
  return test(e) || children(e).some((child) => some(child, test));
}

/** Names of the free symbols that are not constants, sorted. */
export function variablesOf(...expressions: Expression[]): string[] {
  const found = new Set<string>();
  const visit = (e: Expression, bound: readonly string[]): void => {
    if (e.kind === "symbol" && !CONSTANTS.has(e.name) && !bound.includes(e.name)) found.add(e.name);
    for (const child of children(e)) visit(child, e.kind === "big" ? [...bound, e.index] : bound);
  };
  for (const e of expressions) visit(e, []);
  return [...found].sort();
}

export const CONSTANTS: ReadonlySet<string> = new Set(["pi", "e", "i", "infinity"]);

export const operation = (op: (Expression & { kind: "operation" })["op"], ...args: Expression[]): Expression => ({ kind: "operation", op, args });
export const list = (items: Expression[]): Expression => ({ kind: "sequence", open: "", close: "", items });
