// LeetCode problems as PRIME evaluates them: `prompt_sft` asks, `test` makes a Solution and asserts on it.
import { codeTruth } from "./code_truth.ts";
import { hasColumns, levelOf, optionalText, textAt, valueAt } from "./fields.ts";
import type { Mapping } from "./types.ts";

/** What is there before any code is written on LeetCode. */
const SETUP = `import bisect, collections, functools, heapq, itertools, math, random, re, string
from bisect import *
from collections import *
from functools import *
from heapq import *
from itertools import *
from math import *
from typing import *

class ListNode:
    def __init__(self, val=0, next=None):
        self.val, self.next = val, next

class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val, self.left, self.right = val, left, right
`;

const LEVELS: Record<string, number> = { Easy: 1, Medium: 2, Hard: 3 };

export const leetcode: Mapping = {
  name: "leetcode",
  matches: (row) => hasColumns(row, "prompt_sft", "test"),
  map: (row) => {
    const difficulty = valueAt(row, "meta.difficulty");
    return {
      id: optionalText(row, "task_id"),
      prompt: textAt(row, "prompt_sft"),
      answer: codeTruth({ tests: testsOf(textAt(row, "test")), setup: SETUP, entry_point: "Solution" }),
      ability: "code",
      level: LEVELS[String(difficulty)] ?? levelOf(difficulty),
    };
  },
};

// --- internal ---

/** Each "test_input = …, assert …" on its own, so that a solution can be right in part; with what all of them need before it. */
function testsOf(source: string): string[] {
  const [preparation, ...cases] = source.trim().split(/^(?=test_input = )/m);
  return cases.length === 0 ? [source] : cases.map((test) => `${preparation.trim()}\n${test.trim()}`);
}
