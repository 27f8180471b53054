// What the code verifier does without running anything: finding the program, reading the tests, comparing results.
import { describe, expect, test } from "bun:test";
import { sameOutput, sameValue } from "../../ts/verifiers/code/compare.ts";
import { extractCode } from "../../ts/verifiers/code/extract.ts";
import { type CodeTests, parseTests } from "../../ts/verifiers/code/tests.ts";

test("the program is the last Python block, else the last plain one, else a text without fences", () => {
  const cases: [string, string | undefined][] = [
    ["```python\nx = 1\n```", "x = 1"],
    ["first\n```python\nx = 1\n```\nbetter:\n```python\nx = 2\n```\nDone.", "x = 2"],
    ["```python\nx = 1\n```\nIt prints\n```\n1\n```", "x = 1"],
    ["```Python3 \nx = 1\n```", "x = 1"],
    ["```py\r\nx = 1\r\ny = 2\r\n```", "x = 1\ny = 2"],
    ["Sure: ```python\nx = 1\n```", "x = 1"],
    ["```python\n    return 1\n```", "    return 1"], // a completion keeps its indentation
    ["1. do\n   ```python\n   if x:\n       y\n   ```", "if x:\n    y"],
    ["```python\nx = 1", "x = 1"], // cut off
    ["```\nx = 1\n```", "x = 1"],
    ["x = 1\nprint(x)", "x = 1\nprint(x)"],
    ["```json\n{}\n```", undefined],
    ["```python\n\n```", undefined],
    ["", undefined],
    ["  \n", undefined],
  ];
  for (const [response, expected] of cases) expect(extractCode(response), response).toBe(expected as string);
});

describe("the ground truth", () => {
  test("comes in three forms", () => {
    expect(parseTests('{"inputs":[[1,[2.0]]],"outputs":[3],"fn_name":"f"}')).toEqual({
      kind: "call",
      entry: "f",
      cases: [{ args: [1, ["l", ["f", "2.0"]]], expected: 3 }],
    });
    expect(parseTests('{"inputs":["1\\n2",["3","4"]],"outputs":["x",["y","z"]]}')).toEqual({
      kind: "program",
      cases: [
        { stdin: "1\n2", expected: "x" },
        { stdin: "3\n4", expected: "y\nz" },
      ],
    });
    expect(parseTests('{"tests":["assert f(1)"],"setup":"import math","entry_point":"f"}') as object).toMatchObject({
      kind: "assert",
      tests: ["assert f(1)"],
      setup: "import math",
      entry: "f",
    });
  });

  test("is read without loss: long integers, floats, integer keys of arguments, JSON lines", () => {
    const first = (text: string) => (parseTests(text) as Extract<CodeTests, { kind: "call" }>).cases[0];
    const call = (input: string, output: string) => first(`{"fn_name":"f","inputs":[${input}],"outputs":[${output}]}`);
    expect(call("[123456789012345678901234567890, -9007199254740993]", "1").args).toEqual([
      ["i", "0x18ee90ff6c373e0ee4e3f0ad2"],
      ["i", "-0x20000000000001"],
    ]);
    expect(call("[1.0, 1e3, NaN, -Infinity]", "1").args).toEqual([
      ["f", "1.0"],
      ["f", "1e3"],
      ["f", "NaN"],
      ["f", "-inf"],
    ]);
    expect(call('[{"1": 2}, {"a": 1}]', "1").args).toEqual([
      ["d", [1, 2]],
      ["d", ["a", 1]],
    ]);
    expect(call('"[1, 2]\\n\\"text 12 {}\\"\\n"', '"[3]"')).toEqual({ args: [["l", 1, 2], "text 12 {}"], expected: ["l", 3] });
  });

  test("that is broken or empty is an error that says why", () => {
    const cases: [string, string][] = [
      ["", "not valid JSON"],
      ["{", "not valid JSON"],
      ["42", "not a JSON object"],
      ["[]", "not a JSON object"],
      ["{}", "neither"],
      ['{"tests":[]}', "no tests"],
      ['{"inputs":[],"outputs":[]}', "no tests"],
      ['{"inputs":[],"outputs":[],"fn_name":"f"}', "no tests"],
      ['{"inputs":[[1]],"outputs":[],"fn_name":"f"}', "1 inputs but 0 outputs"],
      ['{"inputs":[[1]],"outputs":[1]}', "not text"],
      ['{"inputs":[7],"outputs":[1],"fn_name":"f"}', "neither a list nor text"],
      ['{"inputs":["{"],"outputs":["1"],"fn_name":"f"}', "not valid JSON"],
      ['{"inputs":[[1]],"outputs":[1],"fn_name":"os.system"}', "not a name"],
      ['{"tests":["x", 3]}', "not a list of texts"],
      ['{"tests":["x"],"setup":5}', '"setup" is not text'],
    ];
    for (const [text, reason] of cases) expect(() => parseTests(text), text).toThrow(reason);
  });
});

test("results of functions", () => {
  const f = (text: string) => ["f", text];
  const cases: [actual: unknown, expected: unknown, same: boolean][] = [
    [3, 3, true],
    [3, 4, false],
    [3, f("3.0"), true],
    [f("0.30000000000000004"), f("0.3"), true],
    [f("1000000.5"), f("1000000.0"), true], // relative above 1
    [f("1.001"), 1, false],
    [["i", "0x18ee90ff6c373e0ee4e3f0ad2"], ["i", "0x18ee90ff6c373e0ee4e3f0ad2"], true],
    [["i", "0x18ee90ff6c373e0ee4e3f0ad3"], ["i", "0x18ee90ff6c373e0ee4e3f0ad2"], false],
    [9007199254740991, ["i", "0x20000000000000"], false],
    [f("nan"), f("NaN"), true],
    [f("inf"), f("inf"), true],
    [f("inf"), f("-inf"), false],
    [true, 1, true],
    [true, "true", false],
    ["3", 3, false],
    ["a", "a", true],
    [null, null, true],
    [null, 0, false],
    [["t", 1, ["t", 2]], ["l", 1, ["l", 2]], true],
    [["l", 1, 2], ["l", 2, 1], false],
    [["l", 1], ["l", 1, 2], false],
    [5, ["l", 5], true], // wrapped by the dataset
    [5, ["l", 5, 5], false],
    [["l", 5], 5, false],
    [["l"], ["l"], true],
    [["d", [1, "a"]], ["d", ["1", "a"]], true],
    [["d", [1, "a"], [2, "b"]], ["d", ["1", "a"]], false],
    [["d", ["a", 1]], ["d", ["b", 1]], false],
    [["S", 1, 2], ["l", 1, 2], false],
    [["o", 0, "Liar"], ["l", 1], false],
    [["i", "zzz"], 0, false], // forged
    [["f", ""], 0, true], // Number("") is 0: a forged zero is a zero
    [["d", 1, null], ["d", ["a", 1]], false],
    [undefined, null, false],
    [{}, ["d"], false],
  ];
  for (const [actual, expected, same] of cases) expect(sameValue(actual, expected as never), JSON.stringify([actual, expected])).toBe(same);
});

test("output of programs", () => {
  const cases: [actual: string, expected: string, same: boolean][] = [
    ["1\n2\n", "1\n2", true],
    ["1  \r\n2\n\n\n", "1\n2", true],
    ["1\n\n2", "1\n2", false],
    ["1 2", "1\n2", false],
    ["1   2", "1 2", true],
    ["  1 2", "1 2", true],
    ["YES", "yes", false],
    ["0.3333333", "0.333333333", true],
    ["0.33", "0.333333333", false],
    ["1.0", "1", true],
    ["1000001", "1000000", false], // integers are exact
    ["10000000000000000001", "10000000000000000002", false],
    ["1e-9", "0.0", true],
    ["nan", "0.0", false],
    ["0x10", "16", false],
    ["", "", true],
    ["", "0", false],
    ["é\u0000", "é\u0000", true],
  ];
  for (const [actual, expected, same] of cases) expect(sameOutput(actual, expected), JSON.stringify([actual, expected])).toBe(same);
});
