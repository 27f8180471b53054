// The report's program, as text: it runs in the reader's browser, not here. Plain DOM; texts become text nodes, never markup.
// Answers are drawn when they come near the screen and taken away when they leave it, so that the page stays quick however many there are.

export const SCRIPT = String.raw`"use strict";
(() => {
  const { title, facts, answers } = JSON.parse(document.getElementById("data").textContent);
  const app = document.getElementById("app");
  const number = (x) => (x < 0 ? "\u2212" : "+") + Math.abs(x).toFixed(Math.abs(x) < 0.1 ? 3 : 2);
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const draw = (tag, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };

  const kinds = { right: (a) => a.label > 0.5, wrong: (a) => a.label <= 0.5, unknown: (a) => a.label === undefined };
  const kindOf = (a) => Object.keys(kinds).find((kind) => kinds[kind](a));
  const lowest = (a) => Math.min(...a.steps.map((step) => step.r));
  const orders = {
    "as given": (a, b) => a.index - b.index,
    "score, lowest first": (a, b) => a.score - b.score,
    "score, highest first": (a, b) => b.score - a.score,
    "lowest step first": (a, b) => a.low - b.low,
    "most surprising first": (a, b) => b.surprise - a.surprise,
    "longest first": (a, b) => b.size - a.size,
  };
  answers.forEach((a, index) => {
    a.index = index;
    a.kind = kindOf(a);
    a.low = lowest(a);
    a.size = a.steps.reduce((sum, step) => sum + step.t.length, 0);
    a.surprise = a.label === undefined ? -Infinity : (a.label > 0.5 ? -1 : 1) * a.score;
    a.haystack = (a.id + "\n" + a.prompt + "\n" + a.steps.map((step) => step.t.join("")).join("")).toLowerCase();
  });

  // Strongest colour and height of the charts: the upper quartile of what answers reach, the same for all, so that answers can be compared.
  const quartile = (values) => values.sort((x, y) => x - y)[Math.floor(0.75 * (values.length - 1))] || 1e-9;
  const peak = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  const scale = quartile(answers.map((a) => peak(a.steps.flatMap((step) => step.v))));
  const reach = quartile(answers.map((a) => peak(a.steps.map((step) => step.q))));
  const colour = (v) => "rgba(var(--" + (v < 0 ? "minus" : "plus") + ")," + (0.78 * Math.min(1, Math.abs(v) / scale) ** 0.6).toFixed(3) + ")";

  const counts = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, answers.filter((a) => a.kind === kind).length]));
  const state = { kind: "all", order: "as given", query: "" };
  const list = make("div", { class: "list" });
  const count = make("span", { class: "count", role: "status" });
  header();
  app.append(list);
  const watcher = new IntersectionObserver(onSight, { rootMargin: "1200px 0px" });
  for (const a of answers) {
    a.card = make("article", { class: "answer " + a.kind, id: "a" + a.index });
    a.card.answer = a;
    a.card.style.minHeight = 110 + 34 * a.steps.length + "px";
    watcher.observe(a.card);
  }
  show();

  function header() {
    const shares = [["all", answers.length], ...Object.entries(counts)].filter(([kind, n]) => kind === "all" || n > 0);
    const buttons = shares.map(([kind, n]) => {
      const button = make("button", { type: "button", "data-kind": kind, "aria-pressed": String(kind === "all") }, kind + " " + n);
      button.addEventListener("click", () => {
        state.kind = kind;
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        show();
      });
      return button;
    });
    const order = make("select", { "aria-label": "order" }, ...Object.keys(orders).map((name) => make("option", { value: name }, name)));
    order.addEventListener("change", () => { state.order = order.value; show(); });
    const search = make("input", { type: "search", placeholder: "search questions and answers", "aria-label": "search" });
    search.addEventListener("input", () => { state.query = search.value.trim().toLowerCase(); show(); });
    const controls = make("div", { class: "controls" }, make("span", { class: "seg" }, ...buttons), order, search, count);
    const legend = make("div", { class: "legend" }, "speaks against", make("span", { class: "ramp" }), "speaks for the answer",
      make("span", {}, "\u00b7 strongest at \u00b1" + scale.toPrecision(2) + " a token \u00b7 at the left: reward of the step \u00b7 line: running sum Q"));
    const lines = facts.map(([name, value]) => make("span", {}, name + " ", make("b", {}, value)));
    app.append(make("h1", {}, title), make("p", { class: "facts" }, ...lines), make("div", { class: "bar" }, controls, legend));
  }

  function show() {
    const shown = answers
      .filter((a) => (state.kind === "all" || a.kind === state.kind) && (state.query === "" || a.haystack.includes(state.query)))
      .sort((a, b) => orders[state.order](a, b) || a.index - b.index);
    list.replaceChildren(...(shown.length > 0 ? shown.map((a) => a.card) : [make("p", { class: "empty" }, "No answer is like that.")]));
    count.textContent = shown.length === answers.length ? answers.length + " answers" : shown.length + " of " + answers.length + " answers";
  }

  function onSight(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && !target.firstChild) fill(target);
      else if (!isIntersecting && target.firstChild && target.isConnected) {
        target.style.minHeight = target.offsetHeight + "px";
        target.replaceChildren();
      }
    }
  }

  function fill(card) {
    const a = card.answer;
    const words = { right: "\u2713 right", wrong: "\u2717 wrong", unknown: "\u00b7 no label" };
    const score = make("span", { class: "score" }, "Q at the end ", make("b", {}, number(a.score)), " \u00b7 probability ",
      make("b", {}, (100 / (1 + Math.exp(-a.score))).toFixed(0) + " %"));
    const head = make("div", { class: "head" }, make("span", { class: "verdict" }, words[a.kind]), make("span", {}, a.id + (a.cut ? " (cut off)" : "")), score);
    const chart = qChart(a);
    let at = 0;
    const steps = a.steps.map((step) => {
      const text = make("div", { class: "text" });
      const last = step.t.findLastIndex((piece) => piece.trim() !== "");
      step.t.forEach((piece, i) => text.append(token(piece, i >= last, step.v[i], at + i, chart)));
      at += step.t.length;
      if (step.label !== undefined) text.append(make("span", { class: "tag " + (step.label > 0.5 ? "ok" : "no") }, step.label > 0.5 ? "right so far" : "astray"));
      const isLow = a.steps.length > 1 && step.r === a.low && step.r < 0;
      return make("div", { class: "step" + (isLow ? " low" : "") }, make("div", { class: "r", title: "reward of the step" }, number(step.r)), text);
    });
    card.append(head, make("div", { class: "question" }, a.prompt), ...steps, chart.svg, chart.axis);
    chart.tokens = Array.from(card.querySelectorAll("[data-t]"));
    card.style.minHeight = "";
  }

  /** A token; the line ends that close a step are shown as a sign, as the next step has a line of its own anyway. */
  function token(piece, closes, value, t, chart) {
    const shown = piece === "" ? "end" : closes ? piece.replace(/\s*\n\s*$/, "") || "\u23ce" : piece;
    const kind = piece === "" ? { class: "end" } : shown === "\u23ce" ? { class: "soft" } : {};
    const node = make("span", { "data-t": t, title: number(value), ...kind }, shown);
    node.style.background = colour(value);
    node.addEventListener("mouseenter", () => chart.point(t));
    node.addEventListener("mouseleave", () => chart.point(-1));
    return node;
  }

  /** Q over the tokens, 0 dashed, a thin rule at every step's end. Pointing at it marks the token. */
  function qChart(a) {
    let sum = 0;
    const q = [0, ...a.steps.flatMap((step) => step.v.map((v) => (sum += v)))];
    const [high, low] = [Math.max(...q, 0), Math.min(...q, 0)];
    const span = Math.max(high, reach / 3) - Math.min(low, -reach);
    const y = (v) => (60 - (56 * (v - Math.min(low, -reach))) / span).toFixed(2);
    const svg = draw("svg", { class: "q", viewBox: "0 0 " + (q.length - 1) + " 64", preserveAspectRatio: "none", role: "img", "aria-label": "Q from 0 to " + number(sum) });
    let end = 0;
    for (const step of a.steps) {
      end += step.v.length;
      svg.append(draw("line", { class: "cut", x1: end, x2: end, y1: 0, y2: 64 }));
    }
    svg.append(draw("line", { class: "zero", x1: 0, x2: q.length - 1, y1: y(0), y2: y(0) }));
    svg.append(draw("polyline", { class: "path", points: q.map((v, i) => i + "," + y(v)).join(" ") }));
    const mark = draw("line", { class: "mark", x1: 0, x2: 0, y1: 0, y2: 64 });
    svg.append(mark);
    const here = make("span", {});
    const axis = make("div", { class: "axis" }, make("span", {}, "lowest Q " + number(low) + ", highest " + number(high)), here);
    const chart = { svg, axis, tokens: [], point(t) {
      for (const node of chart.tokens) node.classList.toggle("here", Number(node.dataset.t) === t);
      mark.style.opacity = t < 0 ? 0 : 1;
      mark.setAttribute("x1", t + 1);
      mark.setAttribute("x2", t + 1);
      here.textContent = t < 0 ? "" : "reward " + number(q[t + 1] - q[t]) + ", Q " + number(q[t + 1]);
    } };
    svg.addEventListener("mousemove", (event) => {
      const box = svg.getBoundingClientRect();
      chart.point(Math.min(q.length - 2, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * (q.length - 1)))));
    });
    svg.addEventListener("mouseleave", () => chart.point(-1));
    return chart;
  }
})();
`;
