// Matrices, and sums and multiples of them.
import { type Expression, operation } from "./expression.ts";

/** The entries of a matrix expression, row by row; undefined where it is none. */
export function asMatrix(e: Expression): Expression[][] | undefined {
  if (e.kind === "matrix") return e.rows;
  if (e.kind !== "operation") return undefined;
  const parts = e.args.map(asMatrix);
  if (parts.every((part) => part === undefined)) return undefined;
  if (e.op === "negate") return parts[0]?.map((row) => row.map((entry) => operation("negate", entry)));
  if (e.op === "add") return sum(parts);
  const matrices = parts.filter((part) => part !== undefined);
  if ((e.op !== "multiply" && e.op !== "divide") || matrices.length !== 1 || (e.op === "divide" && !parts[0])) return undefined;
  const factors = e.args.filter((_, i) => parts[i] === undefined);
  return matrices[0].map((row) => row.map((entry) => operation(e.op, entry, ...factors)));
}

// --- internal ---

function sum(parts: (Expression[][] | undefined)[]): Expression[][] | undefined {
  const [first, ...rest] = parts;
  if (!first || rest.some((part) => part?.length !== first.length || part[0].length !== first[0].length)) return undefined;
  return first.map((row, i) => row.map((entry, j) => operation("add", entry, ...rest.map((part) => (part as Expression[][])[i][j]))));
}
