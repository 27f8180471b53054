// Downloads org/model from the hub of the environment; run by runtimes.test.ts in each runtime.
import { resolveModel } from "../../ts/hub/resolve.ts";

let total = 0;
const options = {
  retryDelayMs: 1,
  onProgress: (step: { done: number }) => {
    total = step.done;
  },
};
const dir = await resolveModel("org/model", options);
const message = await resolveModel("org/other", options).catch((error: Error) => error.message);
console.log(JSON.stringify({ dir, total, message }));
