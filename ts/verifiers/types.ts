// A verifier reads text and says whether an answer is right. It never sees tokens or the model.

export interface Verdict {
  score: number; // 0..1
  /** "wrong" is a judged answer; "timeout" (unless settled) and "error" say that no judgement was reached. */
  outcome: "correct" | "wrong" | "timeout" | "error";
  /** With "timeout": the answer itself (a program) took too long, not the judging of it. It then counts with its score, like a wrong one. */
  settled?: boolean;
  extracted: string | undefined; // the answer found in the response
  reason: string; // one sentence
}

export interface Item {
  prompt: string;
  response: string;
  answer: string; // the reference answer: text, or the tests of a program as JSON
  ability?: string; // "math", "code", …: which verifier a mixed dataset's row asks for
}

export interface VerifyOptions {
  signal?: AbortSignal;
  onProgress?: (done: number, total: number) => void; // judged items
}

export interface Verifier {
  readonly name: string;
  /**
   * One verdict per item, in order. A verifier's own failure is the outcome "error" of that item. Rejects only with ERR_ABORTED, and with
   * ERR_UNSUPPORTED where what it needs is not installed.
   */
  verify(items: readonly Item[], options?: VerifyOptions): Promise<Verdict[]>;
  /** Ends the processes it keeps, where it keeps any; may be called again. */
  close?(): Promise<void>;
}
