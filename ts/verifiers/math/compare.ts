// Equality of answers by their shape: names, lists, sets, tuples, intervals, matrices, relations, units, numerals; formulas in scalar.ts.
import { cleanWords } from "./clean.ts";
import { type Context, type Decision, decide, every, matchItems } from "./decision.ts";
import { type Expression, operation, some, variablesOf, writeExpression } from "./expression.ts";
import { spend } from "./limits.ts";
import { asMatrix } from "./matrix.ts";
import { asInterval, assignmentsAsTuple, named, regroup } from "./names.ts";
import { compareRelations } from "./relations.ts";
import { compareScalars } from "./scalar.ts";
import { compareQuantities, isQuantity, withoutLetterUnit } from "./units.ts";

/** Is `answer` the reference `gold`, as far as is known? Undecided with context.open set asks for the symbolic step. */
export function compareAnswers(gold: Expression, answer: Expression, context: Context): Decision {
  spend(10);
  if (writeExpression(gold) === writeExpression(answer)) return decide(true, "text", "they are written alike");
  const [a, b] = [named(gold), named(answer)];
  if (a.name !== undefined && b.name !== undefined && a.name !== b.name) return decide(false, "structure", "they name different things");
  const equations =
    gold.kind === "relation" && answer.kind === "relation" && (a.name === undefined || b.name === undefined) && !asInterval(gold) && !asInterval(answer);
  return equations && !bothConstant(gold, answer) ? compareRelations(gold, answer, context) : compareValues(a.value, b.value, context);
}

// --- internal ---

const bothConstant = (a: Expression, b: Expression): boolean =>
  [named(a), named(b)].every(({ value }) => value.kind !== "relation" && variablesOf(value).length === 0);

function compareValues(gold: Expression, answer: Expression, context: Context): Decision {
  const intervals = compareAsIntervals(gold, answer, context);
  if (intervals) return intervals;
  if (isCollection(gold) || isCollection(answer)) return compareCollections(gold, answer, context);
  if (gold.kind === "union" || answer.kind === "union") return compareUnions(gold, answer, context);
  const matrices = compareMatrices(gold, answer, context);
  if (matrices) return matrices;
  if (gold.kind === "sequence" || answer.kind === "sequence") return compareTuples(gold, answer, context);
  if (gold.kind === "relation" || answer.kind === "relation") return compareRelations(gold, answer, context);
  if (isQuantity(gold) || isQuantity(answer)) return compareQuantities(gold, answer, context, compareValues);
  if (numeralOf(gold) || numeralOf(answer)) return compareNumerals(numeralOf(gold), numeralOf(answer));
  if (gold.kind === "text" || answer.kind === "text") return compareTexts(gold, answer);
  const ratio = compareRatios(gold, answer, context);
  return ratio ?? compareScalars(gold, withoutLetterUnit(gold, answer), context);
}

/** An inequality against an interval, or inequalities in the same variable. */
function compareAsIntervals(gold: Expression, answer: Expression, context: Context): Decision | undefined {
  const [a, b] = [asInterval(gold), asInterval(answer)];
  if (!a && !b) return undefined;
  if (a && b && a.name !== b.name) return decide(false, "structure", "they are about different variables");
  const isSet = (e: Expression) => e.kind === "union" || (e.kind === "sequence" && e.open !== "");
  if (!(a || isSet(gold)) || !(b || isSet(answer))) return undefined;
  return compareValues(a?.value ?? gold, b?.value ?? answer, context);
}

const isPlusMinus = (e: Expression): boolean => e.kind === "operation" && (e.op === "plusminus" || e.op === "minusplus");
const isCollection = (e: Expression): boolean =>
  (e.kind === "sequence" && (e.open === "" || e.open === "{")) ||
  (e.kind !== "sequence" && e.kind !== "union" && e.kind !== "relation" && some(e, isPlusMinus));

/** Several answers in any order; a set with braces does not count twice what it lists twice. */
function compareCollections(gold: Expression, answer: Expression, context: Context): Decision {
  const [goldTuple, answerTuple] = [gold, answer].map((e) => (e.kind === "sequence" && e.open === "" ? assignmentsAsTuple(e.items) : undefined));
  if (answerTuple && isTuple(gold)) return compareTuples(gold, answerTuple, context);
  if (goldTuple && isTuple(answer)) return compareTuples(goldTuple, answer, context);
  const sets = [gold, answer].every((e) => e.kind === "sequence" && e.open === "{");
  const [a, b] = [gold, answer].map((e) => (sets ? distinct(itemsOf(e)) : itemsOf(e)));
  return matchItems(a, b, (x, y) => compareAnswers(x, y, context));
}

const isTuple = (e: Expression): boolean => e.kind === "sequence" && e.open === "(" && e.close === ")";

function itemsOf(e: Expression): Expression[] {
  if (e.kind === "sequence" && (e.open === "" || e.open === "{")) return regroup(e.items).flatMap(itemsOf);
  if (e.kind === "sequence" || e.kind === "union" || !some(e, isPlusMinus)) return [e];
  return [chooseSign(e, true), chooseSign(e, false)];
}

const distinct = (items: Expression[]): Expression[] =>
  items.filter((item, i) => items.findIndex((other) => writeExpression(other) === writeExpression(item)) === i);

/** All ± as + (and ∓ as -), or the other way round. */
function chooseSign(e: Expression, plus: boolean): Expression {
  if (e.kind === "operation") {
    const args = e.args.map((arg) => chooseSign(arg, plus));
    if (!isPlusMinus(e)) return { ...e, args };
    const last = (e.op === "plusminus") === plus ? args[args.length - 1] : operation("negate", args[args.length - 1]);
    return args.length === 1 ? last : operation("add", args[0], last);
  }
  if (e.kind === "call" || e.kind === "relation") return { ...e, args: e.args.map((arg) => chooseSign(arg, plus)) } as Expression;
  return e.kind === "quantity" ? { ...e, value: chooseSign(e.value, plus) } : e;
}

function compareUnions(gold: Expression, answer: Expression, context: Context): Decision {
  const ordered = [gold, answer].some((e) => e.kind === "union" && e.op === "setminus");
  if (gold.kind === "union" && answer.kind === "union" && gold.op !== answer.op) return decide(false, "structure", "the operations between the sets differ");
  const [a, b] = [gold, answer].map((e) => (e.kind === "union" ? e.args : [e]));
  const compare = (x: Expression, y: Expression) => compareValues(x, y, context);
  if (!ordered) return matchItems(a, b, compare);
  return a.length === b.length
    ? every(
        a.map((x, i) => compare(x, b[i])),
        "every set is the same",
      )
    : decide(false, "structure", "the number of sets differs");
}

/** Tuples and intervals: the same brackets, the same items in the same order. */
function compareTuples(gold: Expression, answer: Expression, context: Context): Decision {
  if (gold.kind !== "sequence" || answer.kind !== "sequence") return decide(false, "structure", "one is a tuple or interval, the other is not");
  const round = (bracket: string) => bracket.replace("<", "(").replace(">", ")");
  if (round(gold.open) !== round(answer.open) || round(gold.close) !== round(answer.close)) return decide(false, "structure", "the brackets differ");
  if (gold.items.length !== answer.items.length) return decide(false, "structure", `there are ${answer.items.length} entries, not ${gold.items.length}`);
  return every(
    gold.items.map((item, i) => compareAnswers(item, answer.items[i], context)),
    "every entry is equal",
  );
}

/** Matrices entry by entry; a row or column also against a tuple. */
function compareMatrices(gold: Expression, answer: Expression, context: Context): Decision | undefined {
  const [a, b] = [asMatrix(gold), asMatrix(answer)];
  if (!a && !b) return undefined;
  const vector = (rows: Expression[][] | undefined, other: Expression) => {
    if (rows) return rows.length === 1 || rows[0].length === 1 ? rows.flat() : undefined;
    return other.kind === "sequence" && other.open !== "" && other.open !== "{" ? other.items : undefined;
  };
  const shapes = [a, b].map((rows) => rows && `${rows.length} by ${rows[0].length}`);
  const [x, y] = a && b && shapes[0] === shapes[1] ? [a.flat(), b.flat()] : a && b ? [undefined, undefined] : [vector(a, gold), vector(b, answer)];
  if (!x || !y || x.length !== y.length) return decide(false, "structure", "the shapes of the matrices differ");
  return every(
    x.map((entry, i) => compareAnswers(entry, y[i], context)),
    "every entry is equal",
  );
}

/** Digits with a base equal the same digits in the same base and nothing else: 101_2 is neither 101 nor 5. */
function compareNumerals(gold: string | undefined, answer: string | undefined): Decision {
  if (gold === undefined || answer === undefined) return decide(false, "structure", "only one of them has a base");
  return decide(gold === answer, "structure", gold === answer ? "digits and base are the same" : "digits or base differ");
}

/** Sign, digits without leading zeros and base. */
function numeralOf(e: Expression): string | undefined {
  if (e.kind === "operation" && e.op === "negate" && e.args[0].kind === "numeral") return `-${numeralOf(e.args[0])}`;
  return e.kind === "numeral" ? `${e.digits.replace(/^0+(?=.)/, "")}_${e.base}` : undefined;
}

function compareTexts(gold: Expression, answer: Expression): Decision {
  const plain = (e: Expression) => (e.kind === "text" ? cleanWords(e.text) : e.kind === "symbol" ? e.name.toLowerCase() : writeExpression(e));
  const equal = plain(gold) === plain(answer);
  return decide(equal, "text", equal ? "the words are the same" : "the words differ");
}

/** 2 : 3 equals 4 : 6, and 2/3; with a 0 in it (a time such as 12:00) the parts must be equal. */
function compareRatios(gold: Expression, answer: Expression, context: Context): Decision | undefined {
  const parts = (e: Expression) => (e.kind === "operation" && e.op === "ratio" ? e.args : undefined);
  const [a, b] = [parts(gold), parts(answer)];
  if (!a || !b) return undefined;
  if (a.length !== b.length) return decide(false, "structure", "the ratios have different lengths");
  const zero = [...a, ...b].some((part) => part.kind === "number" && part.value.n === 0n);
  const pairs = a
    .slice(zero ? 0 : 1)
    .map((part, i) =>
      zero ? compareScalars(part, b[i], context) : compareScalars(operation("multiply", part, b[0]), operation("multiply", a[0], b[i + 1]), context),
    );
  return every(pairs, "the ratios are the same");
}
