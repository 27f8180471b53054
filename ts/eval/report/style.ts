// The report's look: one sheet for light and dark. Rewards run from orange (speaks against the answer) to blue (speaks for it), which colour-blind
// readers can tell apart; right and wrong also differ by a mark and a word.

export const STYLE = `
:root { --bg:#f6f7f9; --card:#fff; --ink:#1d2733; --soft:#5c6b7a; --line:#dfe4ea; --field:#fff; --good:#1a7f4b; --bad:#c2362b; --none:#6b7785;
  --plus:37,99,235; --minus:234,88,12; --accent:#2459c4; --shadow:0 1px 2px rgba(20,30,45,.06),0 2px 10px rgba(20,30,45,.05); }
@media (prefers-color-scheme: dark) { :root { --bg:#11161c; --card:#1a212a; --ink:#e6ebf1; --soft:#9aa8b7; --line:#2c3642; --field:#212a35; --good:#4cc38a;
  --bad:#ff7b6b; --none:#93a1b0; --plus:86,146,255; --minus:255,132,60; --accent:#7fb0ff; --shadow:0 1px 2px rgba(0,0,0,.4); } }
* { box-sizing:border-box }
html { scroll-padding-top:8rem }
body { margin:0; background:var(--bg); color:var(--ink); font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif }
main { max-width:1080px; margin:0 auto; padding:0 20px 60px }
h1 { font-size:1.45rem; line-height:1.25; margin:28px 0 6px; letter-spacing:-.01em; overflow-wrap:anywhere }
.facts { display:flex; flex-wrap:wrap; gap:2px 18px; margin:0 0 14px; color:var(--soft); font-size:.86rem }
.facts b { color:var(--ink); font-weight:500; overflow-wrap:anywhere }
.bar { position:sticky; top:0; z-index:5; background:var(--bg); padding:10px 0; border-bottom:1px solid var(--line); margin-bottom:16px }
.controls { display:flex; flex-wrap:wrap; gap:8px 10px; align-items:center }
.seg { display:inline-flex; border:1px solid var(--line); border-radius:8px; overflow:hidden; background:var(--field) }
.seg button { all:unset; cursor:pointer; padding:5px 11px; font-size:.86rem; color:var(--soft); border-right:1px solid var(--line) }
.seg button:last-child { border-right:0 }
.seg button[aria-pressed=true] { background:var(--accent); color:var(--card); }
.seg button:focus-visible, select:focus-visible, input:focus-visible { outline:2px solid var(--accent); outline-offset:-2px }
select, input[type=search] { font:inherit; font-size:.86rem; color:var(--ink); background:var(--field); border:1px solid var(--line); border-radius:8px; padding:5px 9px; min-width:0 }
input[type=search] { flex:1 1 160px }
.count { color:var(--soft); font-size:.84rem; white-space:nowrap }
.legend { display:flex; align-items:center; gap:8px; color:var(--soft); font-size:.8rem; margin-top:8px; flex-wrap:wrap }
.ramp { width:150px; height:10px; border-radius:5px; background:linear-gradient(90deg,rgba(var(--minus),.75),rgba(var(--minus),0) 50%,rgba(var(--plus),0) 50%,rgba(var(--plus),.75)); border:1px solid var(--line) }
.answer { background:var(--card); border:1px solid var(--line); border-left:4px solid var(--none); border-radius:10px; box-shadow:var(--shadow); margin:0 0 14px; padding:12px 16px 10px }
.answer.right { border-left-color:var(--good) } .answer.wrong { border-left-color:var(--bad) }
.head { display:flex; gap:12px; align-items:baseline; flex-wrap:wrap; font-size:.84rem; color:var(--soft) }
.verdict { font-weight:650 } .right .verdict { color:var(--good) } .wrong .verdict { color:var(--bad) }
.head .score { margin-left:auto; font-variant-numeric:tabular-nums } .head .score b { color:var(--ink) }
.question { margin:4px 0 8px; white-space:pre-wrap; overflow-wrap:anywhere; font-weight:550; max-height:9.2em; overflow:auto }
.step { display:grid; grid-template-columns:3.6rem 1fr; gap:0 10px; border-top:1px solid var(--line); padding:3px 0 }
.step .r { text-align:right; font-size:.8rem; line-height:1.75rem; color:var(--soft); font-variant-numeric:tabular-nums }
.step.low .r { color:rgb(var(--minus)); font-weight:700 }
.text { white-space:pre-wrap; overflow-wrap:anywhere; font:13.5px/1.75rem ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace; min-width:0 }
.text span { border-radius:3px; padding:2px 0; box-decoration-break:clone; -webkit-box-decoration-break:clone }
.text span.end { color:var(--soft); font-size:.72rem; padding:2px 4px; margin-left:4px; border:1px solid var(--line) }
.text span.here { outline:2px solid var(--accent) }
.text .soft { color:var(--soft); opacity:.6 }
.text .tag { font:600 .72rem system-ui,sans-serif; margin-left:8px; padding:1px 7px; border-radius:9px; border:1px solid currentColor; white-space:nowrap }
.text .tag.ok { color:var(--good) } .text .tag.no { color:var(--bad) }
svg.q { display:block; width:100%; height:64px; margin-top:6px; overflow:visible }
svg.q .zero { stroke:var(--soft); stroke-width:1; stroke-dasharray:2 3; opacity:.7; vector-effect:non-scaling-stroke }
svg.q .cut { stroke:var(--line); stroke-width:1; vector-effect:non-scaling-stroke }
svg.q .path { fill:none; stroke:var(--accent); stroke-width:1.75; stroke-linejoin:round; vector-effect:non-scaling-stroke }
svg.q .mark { stroke:var(--ink); stroke-width:1; opacity:0; vector-effect:non-scaling-stroke }
.axis { display:flex; justify-content:space-between; color:var(--soft); font-size:.76rem; font-variant-numeric:tabular-nums; min-height:1.2em }
.empty { color:var(--soft); text-align:center; padding:50px 0 }
noscript { display:block; padding:40px; text-align:center }
@media (max-width:640px) { main { padding:0 10px 40px } .step { grid-template-columns:1fr } .step .r { text-align:left; line-height:1.2 } }
@media print { .bar { position:static } .answer { break-inside:avoid; box-shadow:none } }
`;
