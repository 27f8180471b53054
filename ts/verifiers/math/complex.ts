// Complex numbers in double precision, and the functions that answers use.

export interface Complex {
  readonly re: number;
  readonly im: number;
}

export const complex = (re: number, im = 0): Complex => ({ re, im });
export const add = (a: Complex, b: Complex): Complex => complex(a.re + b.re, a.im + b.im);
export const negate = (a: Complex): Complex => complex(-a.re, -a.im);
export const multiply = (a: Complex, b: Complex): Complex =>
  isReal(a) && isReal(b) ? complex(a.re * b.re) : complex(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re);
export const isReal = (a: Complex): boolean => a.im === 0;
export const size = (a: Complex): number => Math.hypot(a.re, a.im);
export const isDefined = (a: Complex): boolean => Number.isFinite(a.re) && Number.isFinite(a.im);

export function divide(a: Complex, b: Complex): Complex {
  if (isReal(b)) return complex(a.re / b.re, a.im / b.re);
  const s = b.re * b.re + b.im * b.im;
  return complex((a.re * b.re + a.im * b.im) / s, (a.im * b.re - a.re * b.im) / s);
}

export const exp = (a: Complex): Complex => (isReal(a) ? complex(Math.exp(a.re)) : complex(Math.exp(a.re) * Math.cos(a.im), Math.exp(a.re) * Math.sin(a.im)));
export const log = (a: Complex): Complex => complex(Math.log(size(a)), isReal(a) && a.re > 0 ? 0 : Math.atan2(a.im, a.re));

/** The principal value; real for a real base and an integer exponent, and the real root for a negative base and an odd root. */
export function power(a: Complex, b: Complex): Complex {
  if (isReal(a) && isReal(b)) {
    if (a.re >= 0 || Number.isInteger(b.re)) return complex(a.re ** b.re);
    const odd = 1 / b.re;
    if (Math.abs(odd - Math.round(odd)) < 1e-12 && Math.round(odd) % 2 !== 0) return complex(-((-a.re) ** b.re));
    if (b.re === 0.5) return complex(0, Math.sqrt(-a.re));
  }
  if (isReal(b) && Number.isInteger(b.re) && Math.abs(b.re) <= 64) return integerPower(a, b.re);
  return size(a) === 0 ? complex(b.re > 0 ? 0 : Number.NaN) : exp(multiply(b, log(a)));
}

/** Functions of one argument by name. Those without a complex form give NaN off the real line. */
export const FUNCTIONS: Readonly<Record<string, (a: Complex) => Complex>> = {
  exp,
  ln: log,
  abs: (a) => complex(size(a)),
  sin: (a) => (isReal(a) ? complex(Math.sin(a.re)) : complex(Math.sin(a.re) * Math.cosh(a.im), Math.cos(a.re) * Math.sinh(a.im))),
  cos: (a) => (isReal(a) ? complex(Math.cos(a.re)) : complex(Math.cos(a.re) * Math.cosh(a.im), -Math.sin(a.re) * Math.sinh(a.im))),
  tan: real(Math.tan),
  cot: real((x) => 1 / Math.tan(x)),
  sec: real((x) => 1 / Math.cos(x)),
  csc: real((x) => 1 / Math.sin(x)),
  arcsin: real(Math.asin),
  arccos: real(Math.acos),
  arctan: real(Math.atan),
  arccot: real((x) => Math.PI / 2 - Math.atan(x)),
  sinh: real(Math.sinh),
  cosh: real(Math.cosh),
  tanh: real(Math.tanh),
  floor: real((x) => Math.floor(x + 1e-12)),
  ceil: real((x) => Math.ceil(x - 1e-12)),
  factorial: real(factorial),
};

/** n choose k for integers, else through the gamma function's integers only: NaN. */
export function binomial(n: number, k: number): number {
  if (!Number.isInteger(n) || !Number.isInteger(k) || n < 0 || n > 1e6) return Number.NaN;
  if (k < 0 || k > n) return 0;
  let value = 1;
  for (let i = 1; i <= Math.min(k, n - k, 2000); i++) value = (value * (n - Math.min(k, n - k) + i)) / i;
  return Math.min(k, n - k) > 2000 ? Number.NaN : value;
}

// --- internal ---

function real(f: (x: number) => number): (a: Complex) => Complex {
  return (a) => complex(isReal(a) ? f(a.re) : Number.NaN);
}

function integerPower(a: Complex, exponent: number): Complex {
  let result = complex(1);
  for (let i = 0; i < Math.abs(exponent); i++) result = multiply(result, a);
  return exponent < 0 ? divide(complex(1), result) : result;
}

function factorial(x: number): number {
  if (!Number.isInteger(x) || x < 0 || x > 170) return Number.NaN;
  let value = 1;
  for (let i = 2; i <= x; i++) value *= i;
  return value;
}
