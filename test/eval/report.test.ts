// The HTML report, as a browser shows it: a real headless Chromium where there is one.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import type { ScoredAnswer } from "../../ts/eval/process.ts";
import { embedJson, escapeHtml, renderReport } from "../../ts/eval/report/page.ts";

setDefaultTimeout(60_000);
const CHROMIUM = process.env.PRIMEKIT_CHROMIUM ?? "/usr/bin/chromium";
const here = existsSync(CHROMIUM);
if (!here) console.log(`skipped: the report in a browser, because ${CHROMIUM} is absent (apt-get install chromium, or PRIMEKIT_CHROMIUM).`);
const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const QUIET = ["--disable-component-update", "--disable-sync"];

/** `steps` rewards by token, a step a list. */
function answer(i: number, steps: number[][], over: Partial<ScoredAnswer> = {}): ScoredAnswer {
  let q = 0;
  const scored = steps.map((rewards, k) => {
    const reward = rewards.reduce((sum, r) => sum + r, 0);
    q += reward;
    const tokens = rewards.map((r, t) => ({ text: `s${k}t${t} `, reward: r }));
    return { text: tokens.map((token) => token.text).join(""), reward, q, tokens };
  });
  return { id: `answer-${i}`, prompt: `question ${i}`, label: i % 2, score: q, steps: scored, truncated: false, ...over };
}

const EVIL = '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1"><!--<script>';
const evil = answer(0, [[0.1]], { id: EVIL, prompt: EVIL, steps: [{ text: EVIL, reward: 1, q: 1, tokens: [{ text: EVIL, reward: 1 }] }] });

test("texts of models stay data: nothing in them ends the script element or becomes markup", () => {
  const html = renderReport([evil], { title: EVIL, facts: [[EVIL, EVIL]] });
  expect(html.match(/<script/g)).toHaveLength(2); // the data and the program
  expect(html.match(/<\/script>/g)).toHaveLength(2);
  expect(html).not.toContain("<img");
  expect(html).toContain(`<title>${escapeHtml(EVIL)}</title>`);
  expect(JSON.parse(embedJson(EVIL))).toBe(EVIL);
  expect(embedJson("<!--&\u2028")).toBe('"\\u003c!--\\u0026\\u2028"');
});

test("the page asks for nothing from outside", () => {
  const html = renderReport([answer(0, [[1]])], { title: "t" });
  expect(html).toContain("default-src 'none'");
  expect(html.replaceAll("http://www.w3.org/2000/svg", "")).not.toMatch(/https?:|\bsrc=|url\(|@import/);
});

describe.skipIf(!here)("in Chromium", () => {
  let browser: Browser;
  const dir = mkdtempSync(join(tmpdir(), "primekit-report-"));
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: [...ARGS, ...QUIET] });
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** The report in a fresh page, the errors it had, and what it asked for. */
  async function open(answers: ScoredAnswer[], title = "report"): Promise<{ page: Page; errors: string[]; requests: string[] }> {
    const file = join(dir, "report.html");
    writeFileSync(file, renderReport(answers, { title, facts: [["beta", "1"]] }));
    const page = await browser.newPage({ viewport: { width: 1000, height: 800 } });
    const errors: string[] = [];
    const requests: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    page.on("request", (request) => requests.push(request.url()));
    await page.goto(`file://${file}`);
    await page.waitForSelector(".answer .step, .empty");
    return { page, errors, requests };
  }

  test("tokens are coloured by reward, steps separated, Q drawn, verdicts told apart", async () => {
    const { page, errors, requests } = await open([answer(0, [[0.5, 0.1], [-4]]), answer(1, [[2, 1], [0.5]])]);
    const [wrong, right] = [page.locator(".answer").nth(0), page.locator(".answer").nth(1)];
    expect(await wrong.locator(".verdict").textContent()).toBe("✗ wrong");
    expect(await right.locator(".verdict").textContent()).toBe("✓ right");
    expect(await wrong.locator(".step .r").allTextContents()).toEqual(["+0.60", "−4.00"]);
    expect(await wrong.locator(".step.low .text").textContent()).toBe("s1t0 ");
    const colour = (t: number) =>
      wrong
        .locator(`[data-t="${t}"]`)
        .evaluate((node) => (globalThis as never as { getComputedStyle(n: unknown): { backgroundColor: string } }).getComputedStyle(node).backgroundColor);
    const [plus, faint, minus] = await Promise.all([colour(0), colour(1), colour(2)]);
    expect([plus, faint].every((c) => c.startsWith("rgba(37, 99, 235"))).toBe(true);
    expect(minus).toStartWith("rgba(234, 88, 12");
    const alpha = (c: string) => Number(/([\d.]+)\)$/.exec(c)?.[1]);
    expect(alpha(minus)).toBeGreaterThan(alpha(plus));
    expect(alpha(plus)).toBeGreaterThan(alpha(faint));
    const points = (await wrong.locator("svg .path").getAttribute("points"))?.split(" ").map((point) => point.split(",").map(Number)) ?? [];
    expect(points.map(([x]) => x)).toEqual([0, 1, 2, 3]);
    expect(points[3][1]).toBeGreaterThan(points[2][1]); // down on the screen: Q falls
    expect(points[2][1]).toBeLessThan(points[0][1]);
    await wrong.locator('[data-t="2"]').hover();
    expect(await wrong.locator(".axis").textContent()).toContain("reward −4.00, Q −3.40");
    expect(requests.filter((url) => !url.startsWith("file:") && !url.startsWith("data:"))).toEqual([]);
    expect(errors).toEqual([]);
    await page.close();
  });

  test("filters, order and search", async () => {
    const { page, errors } = await open([answer(0, [[-1]]), answer(1, [[3]]), answer(2, [[-5, 6]]), answer(3, [[0.2]], { label: undefined })]);
    const ids = () => page.locator(".answer").evaluateAll((cards) => cards.map((card) => (card as never as { id: string }).id));
    expect(await ids()).toEqual(["a0", "a1", "a2", "a3"]);
    await page.click("button[data-kind=wrong]");
    expect(await ids()).toEqual(["a0", "a2"]);
    expect(await page.locator(".count").textContent()).toBe("2 of 4 answers");
    await page.click("button[data-kind=all]");
    await page.selectOption("select", "score, highest first");
    expect(await ids()).toEqual(["a1", "a2", "a3", "a0"]);
    await page.selectOption("select", "most surprising first");
    expect((await ids())[0]).toBe("a2"); // wrong, with a positive score
    await page.fill("input[type=search]", "QUESTION 3");
    expect(await ids()).toEqual(["a3"]);
    await page.fill("input[type=search]", "nothing like it");
    expect(await page.locator(".empty").textContent()).toBe("No answer is like that.");
    expect(errors).toEqual([]);
    await page.close();
  });

  test("line ends inside a step stay, those that close it are a sign", async () => {
    const pieces = ["a:", "\n", "b", ".\n\n", "\n"];
    const tokens = pieces.map((text) => ({ text, reward: 0.1 }));
    const { page } = await open([{ ...answer(0, [[1]]), steps: [{ text: pieces.join(""), reward: 0.5, q: 0.5, tokens }] }]);
    expect(await page.locator(".answer .text span").allTextContents()).toEqual(["a:", "\n", "b", ".", "⏎"]);
    await page.close();
  });

  test("markup and scripts in questions, answers and titles are shown as text", async () => {
    const { page, errors } = await open([evil], EVIL);
    await page.waitForTimeout(100);
    expect(await page.evaluate("window.hacked")).toBeUndefined();
    expect(await page.locator("img").count()).toBe(0);
    expect(await page.locator(".answer .text").textContent()).toBe(EVIL);
    expect(await page.locator(".question").textContent()).toBe(EVIL);
    expect(await page.locator("h1").textContent()).toBe(EVIL);
    expect(errors).toEqual([]);
    await page.close();
  });

  test("1,000 answers of 240 tokens: few are drawn at once, and any can be reached", async () => {
    const many = Array.from({ length: 1000 }, (_, i) =>
      answer(
        i,
        Array.from({ length: 12 }, (_, k) => Array.from({ length: 20 }, (_, t) => Math.sin(i + 7 * k + t))),
      ),
    );
    const { page, errors } = await open(many);
    const drawn = () => page.locator(".answer .step").count();
    expect(await page.locator(".answer").count()).toBe(1000);
    expect(await drawn()).toBeLessThan(1000); // of 12,000
    await page.locator("#a999").scrollIntoViewIfNeeded();
    await page.waitForSelector("#a999 .step");
    expect(await drawn()).toBeLessThan(1000); // the first ones are gone again
    const milliseconds = await page.evaluate(`(() => {
      const select = document.querySelector("select");
      const begin = performance.now();
      select.value = "lowest step first";
      select.dispatchEvent(new Event("change"));
      document.body.offsetHeight;
      return performance.now() - begin;
    })()`);
    expect(milliseconds as number).toBeLessThan(2000); // some 30 ms on a quiet machine
    expect(errors).toEqual([]);
    await page.close();
  });
});
