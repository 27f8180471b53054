// A place in a list of tokens, with the bounds every parsing function shares.
import type { Token } from "./lexer.ts";
import { MAX_DEPTH, MathLimit, NotMath } from "./limits.ts";

export class Cursor {
  private at = 0;
  private depth = 0;
  private readonly tokens: Token[];

  constructor(tokens: Token[]) {
    this.tokens = tokens;
  }

  get next(): Token {
    return this.tokens[this.at];
  }

  peek(ahead: number): Token {
    return this.tokens[Math.min(this.at + ahead, this.tokens.length - 1)];
  }

  take(): Token {
    const token = this.tokens[this.at];
    if (token.type !== "end") this.at++;
    return token;
  }

  is(type: Token["type"], text?: string): boolean {
    return this.next.type === type && (text === undefined || this.next.text === text);
  }

  isSign = (...texts: string[]): boolean => this.next.type === "sign" && texts.includes(this.next.text);
  isCommand = (...names: string[]): boolean => this.next.type === "command" && names.includes(this.next.text);

  accept(type: Token["type"], text: string): boolean {
    const found = this.is(type, text);
    if (found) this.at++;
    return found;
  }

  expect(type: Token["type"], text: string): void {
    if (!this.accept(type, text)) throw new NotMath(`${JSON.stringify(this.next.text)} where ${JSON.stringify(text)} was expected`);
  }

  /** The first digit of a number token as LaTeX reads \frac12; the rest stays. */
  takeDigit(): Token {
    const token = this.take();
    if (token.type !== "number" || token.text.length === 1 || token.text.startsWith(".")) return token;
    if (!/^\.?\d/.test(token.text.slice(1))) throw new NotMath("a power of ten cut in two"); // \frac1e5
    this.at--;
    this.tokens[this.at] = { ...token, text: token.text.slice(1), spaced: false };
    return { ...token, text: token.text[0] };
  }

  /** Runs a nested rule; refuses what is nested too deep. */
  nested<T>(rule: () => T): T {
    if (++this.depth > MAX_DEPTH) throw new MathLimit(`it is nested more than ${MAX_DEPTH} deep`);
    const result = rule();
    this.depth--;
    return result;
  }
}
