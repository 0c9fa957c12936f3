# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the page looks: on a phone, on a desk, at night, on paper.

Nothing is told by colour alone: what differs from the plan has words and a frame. Signs are drawn by borders, which forced colours and
printers keep, where backgrounds would go.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f8f7f4; --card: #fffefb; --ink: #1c1e21; --quiet: #5b6067; --line: #dedbd3; --soft: #f0eee8;
  --good: #17683a; --good-soft: #e3f1e7; --bad: #a3211b; --bad-soft: #fce9e6; --bad-line: #d98a84; --link: #1d4f91; --note-soft: #fbf1d9; --note: #6b4700;
  --text: "Inter", system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14161a; --card: #1b1e23; --ink: #e9e7e2; --quiet: #a5a9b0; --line: #33373e; --soft: #22262c;
    --good: #84d3a3; --good-soft: #18301f; --bad: #ffa79e; --bad-soft: #341b1a; --bad-line: #98524c; --link: #94c0f7; --note-soft: #322a16; --note: #efcf8a;
  }
}
*, ::before, ::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 400 1rem/1.55 var(--text); font-variant-numeric: tabular-nums; }
.wrap { max-width: 70rem; margin: 0 auto; padding: 0 1.25rem; }
a { color: var(--link); text-underline-offset: .18em; text-decoration-thickness: .06em; }
a:hover { text-decoration-thickness: .12em; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 4px; }
code, .mono { font-family: var(--mono); font-size: .92em; }
.sr { position: absolute; width: 1px; height: 1px; margin: -1px; padding: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap; border: 0; }
.skip { position: absolute; left: 1rem; top: -4rem; background: var(--card); padding: .6rem 1rem; border-radius: 0 0 8px 8px; z-index: 9; }
.skip:focus { top: 0; }
.bad { color: var(--bad); }
.quiet { color: var(--quiet); }
h1, h2, h3 { line-height: 1.2; letter-spacing: -.015em; margin: 0; text-wrap: balance; }

/* verdict */
.top { padding: 2.75rem 0 0; }
.kicker { margin: 0 0 1.1rem; color: var(--quiet); font-size: .9375rem; display: flex; flex-wrap: wrap; gap: .15rem 1.25rem; justify-content: space-between; }
.kicker b { color: var(--ink); font-weight: 600; }
.verdict { background: var(--card); border: 1px solid var(--line); border-top: 5px solid var(--good); border-radius: 14px; padding: 2rem 2.25rem 1.9rem; }
.verdict.broken { border-top-color: var(--bad); }
.verdict h1 { font-size: clamp(1.75rem, 1.2rem + 2.4vw, 2.75rem); font-weight: 650; letter-spacing: -.028em; display: flex; gap: .7rem; align-items: center; }
.verdict h1 svg { flex: none; width: .95em; height: .95em; color: var(--good); }
.verdict h1 path { stroke: var(--card); }
.verdict.broken h1 svg { color: var(--bad); }
.verdict > p { margin: .8rem 0 0; max-width: 46rem; color: var(--quiet); font-size: 1.0625rem; text-wrap: pretty; }
.broken-list { margin: 1.5rem 0 0; padding: 0; list-style: none; border-top: 1px solid var(--line); }
.broken-list li { padding: .7rem 0; border-bottom: 1px solid var(--line); display: grid; grid-template-columns: 8.5rem 1fr; gap: 0 1rem; }
.broken-list .where { color: var(--quiet); font-size: .9375rem; padding-top: .05rem; overflow-wrap: anywhere; }
.broken-list a { color: inherit; font-weight: 500; text-decoration-color: var(--bad-line); overflow-wrap: anywhere; }
.broken-list a:hover { color: var(--bad); }
.verdict .todo { margin-top: 1.25rem; color: var(--ink); font-size: 1rem; }
.todo b { font-weight: 600; }
.notes { margin: 1.5rem 0 0; padding: .85rem 1.1rem; background: var(--note-soft); color: var(--note); border-radius: 10px; font-size: .9375rem; }
.notes ul { margin: 0; padding: 0; list-style: none; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1px; margin: 1.5rem 0 0; background: var(--line);
  border: 1px solid var(--line);
  border-radius: 14px; overflow: hidden; }
.figures div { background: var(--card); padding: .95rem 1.15rem 1rem; display: flex; flex-direction: column-reverse; justify-content: flex-end; }
.figures dt { color: var(--quiet); font-size: .875rem; line-height: 1.35; }
.figures dd { margin: 0; font-size: 1.5rem; font-weight: 600; letter-spacing: -.02em; line-height: 1.3; }
.figures small { font-size: .9375rem; font-weight: 400; color: var(--quiet); letter-spacing: 0; }
.places ul { margin: 1.75rem 0 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: .35rem 1.5rem; font-size: .9375rem; }
.places a { text-decoration: none; display: inline-block; padding: .2rem 0; }
.places a:hover { text-decoration: underline; }
.places b { color: var(--bad); font-weight: 600; }

/* sections */
main > section { padding-top: 3.25rem; }
h2 { font-size: 1.5rem; font-weight: 650; }
h3 { font-size: 1.0625rem; font-weight: 600; }
.lead { margin: .35rem 0 1.15rem; color: var(--quiet); max-width: 46rem; }
.findings { margin: 0; padding: 0; list-style: none; display: grid; gap: 1rem; }
.findings article { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--bad); border-radius: 12px;
  padding: 1.2rem 1.5rem 1.3rem; }
.findings article:target { border-color: var(--bad); }
.findings .tag { margin: 0 0 .4rem; font-size: .875rem; color: var(--quiet); display: flex; flex-wrap: wrap; gap: 0 .9rem; overflow-wrap: anywhere; }
.findings .tag b { color: var(--bad); font-weight: 600; }
.findings h3 { font-size: 1.125rem; overflow-wrap: anywhere; text-wrap: pretty; line-height: 1.35; }
.findings dl { margin: .85rem 0 0; display: grid; grid-template-columns: 8.5rem 1fr; gap: .5rem 1rem; font-size: .9375rem; }
.findings dt { color: var(--quiet); }
.findings dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
.findings dd ul { margin: 0; padding-left: 1.1rem; list-style: disc; }
.differences { margin: 0 0 1.25rem; padding: .35rem 1.25rem; background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  list-style: none; font-size: .9375rem; }
.differences li { padding: .5rem 0; overflow-wrap: anywhere; }
.differences li + li { border-top: 1px solid var(--line); }
.differences .why { display: block; color: var(--quiet); font-size: .875rem; }
.legend { margin: 0 0 .9rem; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; font-size: .875rem;
  color: var(--quiet); align-items: center; }
.legend li { display: flex; align-items: center; gap: .5rem; }
input.switch { width: 1.1rem; height: 1.1rem; margin: 0 .5rem .95rem 0; vertical-align: middle; accent-color: var(--link); }
label.switch { font-size: .9375rem; line-height: 1.1rem; vertical-align: middle; display: inline-block; margin-bottom: .9rem; }
#only:checked ~ .tables :is(tbody:not(.d), tbody tr:not(.d, .host), details:not(.d)) { display: none; }

/* tables */
/* Clipped, not scrolled, where there is room: headers then stick to the window, and there is no scrolling within scrolling. */
.scroll { position: relative; overflow: clip; background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: .9375rem; }
th, td { text-align: left; vertical-align: top; padding: .5rem .9rem; border-bottom: 1px solid var(--line); font-weight: 400; }
tbody:last-child tr:last-child > * { border-bottom: 0; }
thead th { position: sticky; top: 0; z-index: 2; background: var(--card); color: var(--quiet); font-size: .8438rem; white-space: nowrap;
  vertical-align: bottom; }
tr.host th { background: var(--soft); font-weight: 600; padding-top: .4rem; padding-bottom: .4rem; }
tr.host span { position: sticky; left: .9rem; }
tbody th[scope=row] { background: var(--card); overflow-wrap: anywhere; }
.list th[scope=row] { min-width: 9rem; width: 30%; }
.list tr.d > * { background: var(--bad-soft); }
.sub { display: block; color: var(--quiet); font-size: .8438rem; line-height: 1.4; overflow-wrap: anywhere; }
.sub.mono { font-size: .7813rem; }
.none { color: var(--quiet); font-style: italic; }
.state { display: inline-block; white-space: nowrap; }
.list td:nth-child(2) .state { display: block; font-size: .8438rem; }
.state::before { content: ""; display: inline-block; margin-right: .45em; vertical-align: .04em; border-radius: 50%; border: .25em solid currentColor; }
.state.good { color: var(--good); }
.state.bad { color: var(--bad); font-weight: 600; }
.state.bad::before { border-radius: 1px; transform: rotate(45deg); }
.took { display: inline-block; min-width: 4.2em; white-space: nowrap; }
.bar { vertical-align: .12em; }
.bar rect { fill: var(--quiet); opacity: .55; }
details { margin-bottom: .6rem; }
summary { padding: .55rem .9rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; cursor: pointer; }
summary .quiet, summary .bad { margin-left: .6rem; font-size: .9375rem; }
details[open] summary { margin-bottom: .5rem; }
.classes { padding-left: 1.1rem; }
#hosts h3 { margin-top: 1.5rem; }

/* matrix */
.matrix th[scope=row] { position: sticky; left: 0; z-index: 1; border-right: 1px solid var(--line); min-width: 12rem; }
.matrix .corner { left: 0; z-index: 3; border-right: 1px solid var(--line); }
.matrix th code { display: inline-block; min-width: 6.2em; white-space: nowrap; }
.matrix thead th:not(.corner) { text-align: center; }
.matrix td { text-align: center; vertical-align: middle; padding: .35rem .5rem; border-left: 1px solid transparent; }
.scroll:has(.many) { overflow: auto; max-height: 88vh; }
@media (min-width: 60.01rem) {
  .matrix:not(.many) { table-layout: fixed; }
  .matrix:not(.many) .corner { width: 30%; }
  .matrix:not(.many) thead th { white-space: normal; overflow-wrap: anywhere; }
}
.matrix.many thead span { writing-mode: vertical-rl; transform: rotate(180deg); }
.sign, td.o::after, td.b::after, td.k::after, td.n::after, .way.o::after, .way.b::after, .way.k::after { content: ""; display: inline-block;
  vertical-align: middle; }
.sign.o, td.o::after, .way.o::after { border: 5px solid var(--good); border-radius: 50%; }
.sign.b, td.b::after, .way.b::after { width: 14px; border-top: 2px solid var(--quiet); }
.sign.k, td.k::after, .way.k::after { width: 14px; border-top: 2px dotted var(--quiet); }
.sign.n { width: 14px; height: 14px; background: var(--soft); border: 1px solid var(--line); border-radius: 3px; }
.matrix td.n { background: var(--soft); }
.matrix td.x { background: var(--bad-soft); box-shadow: inset 0 0 0 2px var(--bad-line); }
.word { color: var(--bad); font-weight: 650; font-size: .8438rem; line-height: 1.2; }
.legend .word { border: 2px solid var(--bad-line); background: var(--bad-soft); padding: .05rem .4rem; }
.way { display: flex; align-items: center; justify-content: center; gap: .4rem; min-height: 1.25rem; }
.way small { color: var(--quiet); font-size: .75rem; }
footer { margin-top: 4rem; border-top: 1px solid var(--line); padding: 1.4rem 0 3rem; color: var(--quiet); font-size: .875rem; }

@media (max-width: 60rem) {
  .scroll { overflow: auto; }
  .scroll:has(.matrix) { max-height: 88vh; }
}
@media (max-width: 40rem) {
  .wrap { padding: 0 1rem; }
  .top { padding-top: 1.4rem; }
  .verdict { padding: 1.35rem 1.25rem 1.3rem; }
  .verdict h1 { align-items: flex-start; }
  .verdict h1 svg { margin-top: .13em; }
  .broken-list li, .findings dl { grid-template-columns: 1fr; gap: .1rem; }
  .findings dd + dt { margin-top: .55rem; }
  .findings article { padding: 1rem 1.1rem 1.1rem; }
  .figures { grid-template-columns: 1fr 1fr; }
  main > section { padding-top: 2.5rem; }
  th, td { padding: .5rem .7rem; }
  .matrix th[scope=row] { min-width: 7.4rem; max-width: 8.2rem; }
  .matrix th code { min-width: 0; display: block; }
  .matrix .name { font-size: .8125rem; line-height: 1.3; display: block; color: var(--quiet); }
  .matrix thead span { writing-mode: vertical-rl; transform: rotate(180deg); }
  .matrix td { padding: .35rem .3rem; min-width: 2.3rem; }
  .word { font-size: .75rem; }
  /* Each row of a list in two columns, two by two; the columns' names are for whoever hears them. */
  .list, .list tbody { display: block; }
  .list thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .list tr { display: grid; grid-template-columns: 1.2fr 1fr; gap: .3rem .9rem; padding: .65rem .9rem; border-bottom: 1px solid var(--line); }
  .list tbody:last-child tr:last-child { border-bottom: 0; }
  .list th, .list td, .list th[scope=row] { padding: 0; border: 0; min-width: 0; width: auto; background: none; overflow-wrap: anywhere; }
  .list tr.host { display: block; background: var(--soft); padding: .4rem .9rem; }
  .list tr.host th { padding: 0; }
  .list tr.d { background: var(--bad-soft); }
  .list tr.d > * { background: none; }
  .bar { display: none; }
}
@media print {
  :root { --page: #fff; --card: #fff; --ink: #000; --quiet: #444; --line: #bbb; --soft: #f2f2f2; --good: #17683a; --good-soft: #fff; --bad: #a3211b;
    --bad-soft: #fce9e6;
    --bad-line: #a3211b; --link: #000; --note: #000; --note-soft: #fff; color-scheme: light; }
  @page { margin: 14mm; }
  body { font-size: 9.5pt; }
  .wrap { max-width: none; padding: 0; }
  .top { padding-top: 0; }
  .skip, .places, input.switch, label.switch { display: none; }
  .scroll { overflow: visible; max-height: none; border: 0; }
  details::details-content { content-visibility: visible; display: block; }
  thead { display: table-header-group; }
  thead th, .matrix th[scope=row], tr.host span { position: static; }
  .findings article, tr, .figures, .differences li { break-inside: avoid; }
  h2, .lead { break-after: avoid; }
  th, td { padding: .2rem .4rem; }
  .matrix th[scope=row] { min-width: 0; }
  .matrix th code { display: block; }
  .notes { border: 1px solid var(--line); }
}
@media (forced-colors: active) {
  .matrix td.x { outline: 2px solid; outline-offset: -3px; }
  .bar rect { fill: CanvasText; }
}
"""
