// Run by math_verifier.test.ts in every runtime: a batch that needs the symbolic step, one that is killed, and then nothing: the process must end by itself.
import { mathVerifier } from "../../ts/verifiers/math.ts";

const verifier = mathVerifier({ timeoutMs: 4000 });
const item = (answer: string, gold: string) => ({ prompt: "", response: `\\boxed{${answer}}`, answer: gold });
const first = await verifier.verify([item("(x+1)^2", "x^2+2x+1"), item("n!", "n(n-1)!"), item("(x+y+z)^{200}", "(x+y+z)^{199}(x+y+z)"), item("x", "y")]);
const second = await verifier.verify([item("(x+1)^2", "x^2+2x+1")]);
process.stdout.write(`${JSON.stringify([...first, ...second])}\n`); // no close(): an idle pool keeps no process alive
