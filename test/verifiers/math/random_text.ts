// Random strings of formula parts, words and raw characters.

const PARTS =
  "\\frac \\sqrt \\left( \\right) \\left[ \\right] \\{ \\} { } ( ) [ ] ^ _ + - * / = < > , ; : . ! % ' \" $ & | ~ # @ \\\\ \\ x y z n k i e a f(x) pi \\pi \\infty \\pm \\mp \\cup \\cap \\in \\le \\ge \\neq \\approx \\sum_{k=1}^{n} \\prod \\int \\lim \\log_2 \\sin \\cos^2 \\text{and} \\text{ cm} \\boxed{ \\begin{pmatrix} \\end{pmatrix} \\binom \\lfloor \\rfloor \\dots \\mathbb{R} \\vec{v} 0 1 2 3 17 0.5 1,000 .25 1e5 ^2 ^{10} ² ½ √ ∞ ° − ≤ é 中 \u0000 \u202e \u00a0 \ud83d\ude00 \ud800 and or the answer is #### answer: cm percent".split(
    " ",
  );

/** 1 to 40 parts, joined with or without spaces. */
export function randomText(random: () => number): string {
  const glue = random() < 0.5 ? "" : " ";
  return Array.from({ length: 1 + Math.floor(random() * 40) }, () => PARTS[Math.floor(random() * PARTS.length)]).join(glue);
}

/** Numbers in [0, 1), the same for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
