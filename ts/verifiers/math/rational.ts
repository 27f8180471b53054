// Exact rational numbers. Every operation refuses to build a number beyond MAX_BITS, so no answer can make exact work slow.
import { MathLimit, spend } from "./limits.ts";

export interface Rational {
  readonly n: bigint;
  readonly d: bigint; // > 0, coprime to n
}

export const ZERO: Rational = { n: 0n, d: 1n };
export const ONE: Rational = { n: 1n, d: 1n };

export function rational(n: bigint, d = 1n): Rational {
  if (d === 0n) throw new MathLimit("it divides by zero");
  const g = gcd(n < 0n ? -n : n, d < 0n ? -d : d) * (d < 0n ? -1n : 1n);
  return { n: n / g, d: d / g };
}

/** Of "12", "1.50", ".5", "3." or "4.5e-3". */
export function parseDecimal(text: string): Rational {
  const [, whole, fraction = "", exponent = "0"] = /^(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/.exec(text) as RegExpExecArray;
  const power = Number(exponent) - fraction.length;
  if (Math.abs(power) > MAX_EXPONENT) throw new MathLimit("a number in it is too large");
  const digits = BigInt(whole + fraction || "0");
  return power >= 0 ? rational(digits * 10n ** BigInt(power)) : rational(digits, 10n ** BigInt(-power));
}

export const add = (a: Rational, b: Rational): Rational => checked(a.n * b.d + b.n * a.d, a.d * b.d);
export const multiply = (a: Rational, b: Rational): Rational => checked(a.n * b.n, a.d * b.d);
export const negate = (a: Rational): Rational => ({ n: -a.n, d: a.d });
export const divide = (a: Rational, b: Rational): Rational => checked(a.n * b.d, a.d * b.n);
export const same = (a: Rational, b: Rational): boolean => a.n === b.n && a.d === b.d;
export const compare = (a: Rational, b: Rational): number => Number(a.n * b.d - b.n * a.d > 0n) - Number(a.n * b.d - b.n * a.d < 0n);
export const isInteger = (a: Rational): boolean => a.d === 1n;

export function floor(a: Rational): Rational {
  const q = a.n / a.d;
  return { n: a.n < 0n && q * a.d !== a.n ? q - 1n : q, d: 1n };
}

export function power(base: Rational, exponent: bigint): Rational {
  const size = exponent < 0n ? -exponent : exponent;
  if (base.n === 0n && exponent < 0n) throw new MathLimit("it divides by zero");
  if (base.d === 1n && (base.n === 0n || base.n === 1n || base.n === -1n)) return size % 2n === 0n && base.n !== 0n ? ONE : size === 0n ? ONE : base;
  if (size * BigInt(Math.max(bits(base.n), bits(base.d))) > BigInt(MAX_BITS)) throw new MathLimit("a number in it is too large");
  spend(Number(size));
  const n = base.n ** size;
  const d = base.d ** size;
  return exponent < 0n ? rational(d, n) : { n, d };
}

/** n! for 0 <= n <= 1500. */
export function factorial(n: bigint): Rational {
  if (n < 0n || n > 1500n) throw new MathLimit("a factorial in it is too large");
  spend(10 * Number(n));
  let product = 1n;
  for (let i = 2n; i <= n; i++) product *= i;
  return { n: product, d: 1n };
}

/** The exact k-th root, when it is rational. */
export function exactRoot(a: Rational, k: number): Rational | undefined {
  if (a.n < 0n && k % 2 === 0) return undefined;
  const n = integerRoot(a.n < 0n ? -a.n : a.n, k);
  const d = integerRoot(a.d, k);
  return n === undefined || d === undefined ? undefined : { n: a.n < 0n ? -n : n, d };
}

/** The nearest double (also where numerator and denominator alone would overflow). */
export function toNumber(a: Rational): number {
  const shift = Math.max(bits(a.n), bits(a.d)) - 1000;
  if (shift <= 0) return Number(a.n) / Number(a.d);
  const difference = bits(a.n) - bits(a.d);
  if (difference > 1100) return a.n < 0n ? -Infinity : Infinity;
  if (difference < -1100) return 0;
  const scaled = 80 - difference; // 80 bits of quotient
  const q = scaled >= 0 ? (a.n << BigInt(scaled)) / a.d : a.n / (a.d << BigInt(-scaled));
  return Number(q) * 2 ** -(scaled - (scaled > 1000 ? 500 : 0)) * (scaled > 1000 ? 2 ** -500 : 1);
}

export const toText = (a: Rational): string => (a.d === 1n ? short(a.n) : `${short(a.n)}/${short(a.d)}`);

// --- internal ---

const MAX_BITS = 20_000;
const MAX_EXPONENT = 5_000;

function checked(n: bigint, d: bigint): Rational {
  const size = Math.max(bits(n), bits(d));
  spend(1 + (size / 64) ** 2); // the common divisor
  if (size > MAX_BITS) throw new MathLimit("a number in it is too large");
  return rational(n, d);
}

function gcd(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a === 0n ? 1n : a;
}

/** Within 4 of the length in bits. */
function bits(n: bigint): number {
  const size = n < 0n ? -n : n;
  return size < 0x20000000000000n ? Math.ceil(Math.log2(Number(size) + 1)) : size.toString(16).length * 4;
}

function integerRoot(n: bigint, k: number): bigint | undefined {
  if (n < 2n || k === 1) return n;
  if (bits(n) > 4_000 || k > 200) return undefined;
  let x = 1n << BigInt(Math.ceil(bits(n) / k) + 1);
  const degree = BigInt(k);
  for (;;) {
    const next = ((degree - 1n) * x + n / x ** (degree - 1n)) / degree; // Newton from above
    if (next >= x) break;
    x = next;
  }
  return x ** degree === n ? x : undefined;
}

function short(n: bigint): string {
  const text = n.toString();
  return text.length > 40 ? `${text.slice(0, 20)}…(${text.length} digits)` : text;
}
