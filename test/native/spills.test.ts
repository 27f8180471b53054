import { expect, test } from "bun:test";
import { parseKernelUse } from "../../scripts/spills.ts";

const said = `ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z4goodPf' for 'sm_80'
ptxas info    : Function properties for _Z4goodPf
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 128 bytes smem
ptxas info    : Compiling entry function '_Z3badPf' for 'sm_90'
ptxas info    : Function properties for _Z3badPf
    48 bytes stack frame, 16 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 48 bytes cumulative stack size
`;

test("registers and spills are read from what ptxas says", () => {
  expect(parseKernelUse(said)).toEqual([
    { kernel: "_Z4goodPf", target: "sm_80", registers: 40, spilledBytes: 0 },
    { kernel: "_Z3badPf", target: "sm_90", registers: 255, spilledBytes: 28 },
  ]);
});
