"use strict";
const { cells, groups, media } = window.REPORT;
const $ = id => document.getElementById(id);
const films = new Set(media);
const page = c => `cell.html?${c.id}`;
const rate = ([k, n]) => (n ? k / n : null);

// -- the list of cells ------------------------------------------------------------------------------------------------

const COLUMNS = [
  { name: "task", word: true, value: c => c.task },
  {
    name: "method",
    word: true,
    value: c => c.method,
    show: c => [make("a", { href: page(c) }, c.method), c.note ? ` (${c.note})` : "", films.has(c.id) ? " ▶" : ""],
  },
  { name: "head", word: true, value: c => c.head },
  { name: "seed", value: c => c.seed },
  { name: "suite", word: true, value: c => c.suite },
  { name: "protocol", word: true, value: c => c.protocol },
  { name: "retest", value: c => rate(c.retest), show: c => bar(c.retest, c.low, c.high) },
  { name: "best*", value: c => rate(c.best), show: c => counted(c.best) },
  { name: "last", value: c => rate(c.last), show: c => counted(c.last) },
  { name: "gap", value: c => c.gap, show: c => (c.gap == null ? "–" : (100 * c.gap).toFixed(1)) },
  { name: "expected", value: c => c.expected, show: c => (c.expected == null ? "–" : (100 * c.expected).toFixed(1)) },
  { name: "errors", value: c => c.errors },
  { name: "steps", value: c => c.steps, show: c => whole(c.steps) },
  { name: "batch", value: c => c.batch },
  { name: "minutes", value: c => c.seconds, show: c => (c.seconds / 60).toFixed(1) },
  { name: "encoder parameters", value: c => c.encoder, show: c => whole(c.encoder) },
  { name: "trained parameters", value: c => c.trained, show: c => whole(c.trained) },
];
const counted = ([k, n]) => (n ? `${Math.round((100 * k) / n)} % (${k}/${n})` : "–");

// The rate with its interval and counts, over a bar as long as the rate.
function bar([k, n], low, high) {
  if (!n) return make("span", { class: "rate" }, "no episode");
  const text = `${Math.round((100 * k) / n)} % [${Math.round(100 * low)}, ${Math.round(100 * high)}] (${k}/${n})`;
  return make("span", { class: "rate", style: `--share: ${(100 * k) / n}%` }, text);
}

const FEW = 30; // cells that are listed at first: enough to see what there is, and the charts stay near
let all = false;
let sorted = { column: COLUMNS[0], up: true };

function compareBy({ value, word }, up) {
  return (a, b) => {
    const x = value(a),
      y = value(b);
    if (x == null || y == null) return (x == null) - (y == null); // what is not known comes last either way
    return (up ? 1 : -1) * (word ? x.localeCompare(y) : x - y);
  };
}

function listHead() {
  $("list").tHead.replaceChildren(
    make(
      "tr",
      {},
      COLUMNS.map(column =>
        make(
          "th",
          {
            scope: "col",
            class: column.word ? "word" : null,
            "aria-sort": sorted.column === column ? (sorted.up ? "ascending" : "descending") : "none",
          },
          make(
            "button",
            {
              type: "button",
              onclick: () => {
                sorted = { column, up: sorted.column === column ? !sorted.up : Boolean(column.word) };
                listHead();
                list();
                $("list").tHead.rows[0].cells[COLUMNS.indexOf(column)].firstChild.focus();
              },
            },
            column.name,
          ),
        ),
      ),
    ),
  );
}

const FILTERS = ["suite", "protocol", "task", "method"];

function list() {
  const words = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = cells.filter(
    c =>
      FILTERS.every(f => !$(`by-${f}`).value || c[f] === $(`by-${f}`).value) &&
      words.every(w =>
        `${c.suite} ${c.protocol} ${c.task} ${c.method} ${c.head} s${c.seed} ${c.note}`.toLowerCase().includes(w),
      ),
  );
  chosen.sort(compareBy(sorted.column, sorted.up));
  const rows = document.createDocumentFragment();
  for (const c of all ? chosen : chosen.slice(0, FEW)) {
    rows.append(
      make(
        "tr",
        {},
        COLUMNS.map(column =>
          make(
            "td",
            { class: column.word ? "word" : null },
            column.show ? column.show(c) : String(column.value(c) ?? "–"),
          ),
        ),
      ),
    );
  }
  $("list").tBodies[0].replaceChildren(rows);
  $("count").textContent = `${chosen.length} of ${cells.length}`;
  $("more").hidden = all || chosen.length <= FEW;
  $("more").textContent = `Show the other ${chosen.length - FEW}`;
  remember();
}

$("more").onclick = () => {
  all = true;
  list();
};

// -- what is chosen is in the address, so that a link shows the same ----------------------------------------------------

function remember() {
  const chosen = new URLSearchParams();
  for (const id of ["find", ...FILTERS.map(f => `by-${f}`)]) if ($(id).value) chosen.set(id, $(id).value);
  if (groups.length && $("group").value !== "") {
    const g = groups[$("group").value];
    chosen.set("suite", g.suite);
    chosen.set("protocol", g.protocol);
  }
  const address = `${location.pathname}?${chosen}${location.hash}`;
  try {
    history.replaceState(null, "", address);
  } catch {
    // some browsers refuse it for pages from disk: then the address stays as it was
  }
}

const asked = new URLSearchParams(location.search);

for (const f of FILTERS) {
  $(`by-${f}`).append(
    make("option", { value: "" }, "all"),
    ...[...new Set(cells.map(c => c[f]))].sort().map(v => make("option", { value: v }, v)),
  );
  $(`by-${f}`).onchange = list;
  if (asked.has(`by-${f}`)) $(`by-${f}`).value = asked.get(`by-${f}`);
}
$("find").value = asked.get("find") ?? "";
$("find").oninput = list;
$("filters").onsubmit = e => e.preventDefault();
listHead();

// -- a suite ----------------------------------------------------------------------------------------------------------

const named = m => `${m.method}, ${m.head}`;

function epochs(g) {
  const task = $("epochs-task").value;
  chart($("epochs-chart"), {
    series: g.methods
      .map((m, look) => ({
        label: named(m),
        look,
        colour: m.colour,
        points: m.epochs[task] ?? (m.tasks === 1 && task === "mean" ? [] : []),
      }))
      .filter(s => s.points.length),
    x: "epoch",
    y: "success, %",
    label: `Success over epochs, ${task}, ${g.suite}, protocol ${g.protocol}`,
  });
}

function trees(g) {
  const rows = g.tasks.flatMap(task =>
    g.methods
      .map(
        (m, look) =>
          m.by_task[task] && {
            group: task,
            label: named(m) + (m.note ? ` (${m.note})` : ""),
            rate: m.by_task[task][0],
            low: m.by_task[task][1],
            high: m.by_task[task][2],
            look,
            colour: m.colour,
          },
      )
      .filter(Boolean),
  );
  $("intervals-text").textContent = g.intervals.join(" ");
  forest($("forest-chart"), rows, `Retest by task, ${g.suite}, protocol ${g.protocol}`);
}

function inflated(g) {
  const own = cells.filter(c => c.suite === g.suite && c.protocol === g.protocol && c.gap != null);
  const series = g.methods.map((m, look) => ({
    label: named(m),
    look,
    colour: m.colour,
    line: false,
    band: false,
    points: own
      .filter(c => c.method === m.method && c.head === m.head)
      .map(c => [
        rate(c.best),
        rate(c.retest),
        null,
        null,
        false,
        `${c.task}, ${named(m)}, seed ${c.seed}: best* ${percent(rate(c.best))}, retest ${percent(rate(c.retest))}`,
        page(c),
      ]),
  }));
  const luck = own
    .filter(c => c.expected != null)
    .map(c => [rate(c.retest) + c.expected, rate(c.retest)])
    .sort((a, b) => a[1] - b[1]);
  luck.dash = "2 4";
  chart($("inflation-chart"), {
    series,
    x: "best*, %",
    y: "retest, %",
    lines: [
      [
        [0, 0],
        [1, 1],
      ],
      ...(luck.length > 1 ? [luck] : []),
    ],
    range: { x: [0, 1], percent: true },
    label: `best* against retest, ${g.suite}, protocol ${g.protocol}`,
  });
  const mean = v => v.reduce((a, b) => a + b, 0) / v.length;
  const known = own.filter(c => c.expected != null);
  $("inflation-text").textContent = known.length
    ? `best* is on average ${(100 * mean(known.map(c => c.gap))).toFixed(1)} points above the retest of the same checkpoint, ` +
      `over ${known.length} cells. Selection bias alone (choosing the best of several evaluations) would give ${(100 * mean(known.map(c => c.expected))).toFixed(1)} points (dotted) ` +
      "if every checkpoint were as good as the selected one; where checkpoints differ, it is smaller. Solid: no gap."
    : own.some(c => !c.selects)
      ? "Nothing is selected under this protocol: best* is the last evaluation."
      : "";
}

// -- the summary: methods x tasks -------------------------------------------------------------------------------------

// White to blue, and the ink that is better read on it: black or white, whose contrasts are equal at 0.179.
function shade(v) {
  const colour = [247, 251, 255].map((a, i) => Math.round(a + ([8, 69, 148][i] - a) * v));
  const [r, g, b] = colour.map(c => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return { fill: `rgb(${colour})`, ink: 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff" };
}

function heatCell(g, m, task) {
  const found = m.by_task[task],
    counts = m.counts[task];
  if (!found) return make("td", { class: "none" }, counts?.[3] ? "errors only" : "–");
  const [v, low, high] = found,
    { fill, ink } = shade(v),
    [k, n, seeds] = counts;
  const said = `${task}, ${named(m)}: ${percent(v)} % [${percent(low)}, ${percent(high)}], ${k}/${n}, seeds: ${seeds}`;
  const choose = () => {
    $("by-suite").value = g.suite;
    $("by-protocol").value = g.protocol;
    $("by-task").value = task;
    $("by-method").value = m.method;
    $("find").value = "";
    list();
    $("cells").scrollIntoView();
  };
  return make(
    "td",
    { style: `background: ${fill}; color: ${ink}` },
    make(
      "button",
      { type: "button", title: said, onclick: choose },
      make("b", {}, String(Math.round(100 * v))),
      make("small", {}, `${Math.round(100 * low)}–${Math.round(100 * high)}`),
      make("small", {}, `${k}/${n}${seeds > 1 ? ` · ${seeds} s` : ""}`),
    ),
  );
}

function summary(g) {
  const best = [...g.methods].sort((a, b) => b.tasks - a.tasks || (b.mean ?? -1) - (a.mean ?? -1));
  const own = cells.filter(c => c.suite === g.suite && c.protocol === g.protocol);
  $("summary-text").textContent =
    `Retest in %, its 95 % interval, successes of episodes${own.some(c => c.seed) ? ", training seeds (s)" : ""}. ` +
    "A click on a field filters the list below.";
  $("heat").tHead.replaceChildren(
    make(
      "tr",
      {},
      make("th", { scope: "col", class: "word" }, "method, head"),
      make("th", { scope: "col" }, "mean"),
      g.tasks.map(t => make("th", { scope: "col" }, t)),
    ),
  );
  $("heat").tBodies[0].replaceChildren(
    ...best.map(m =>
      make(
        "tr",
        {},
        make("th", { scope: "row", class: "word" }, named(m), m.note ? make("small", {}, m.note) : ""),
        m.mean == null
          ? make("td", { class: "none" }, "–")
          : make(
              "td",
              {},
              make("b", {}, percent(m.mean)),
              make("small", {}, `${Math.round(100 * m.low)}–${Math.round(100 * m.high)}`),
              make("small", {}, `${m.tasks}/${m.of} tasks`),
            ),
        g.tasks.map(t => heatCell(g, m, t)),
      ),
    ),
  );
  const errors = own.reduce((sum, c) => sum + c.errors, 0),
    few = best.filter(m => m.tasks < m.of).map(named),
    single = best.filter(m => m.mean != null && !m.over_seeds).map(named);
  const notes = [
    few.length ? `Their mean is over some of the tasks only: ${few.join("; ")}.` : "",
    single.length
      ? `One training seed on some task, so that the mean's interval is of these checkpoints' episodes and says nothing about retraining: ${single.join("; ")}.`
      : "",
    errors ? `${errors} episodes could not be run; they count as neither success nor failure.` : "",
    ...g.apart,
  ];
  $("summary-notes").replaceChildren(...notes.filter(Boolean).map(n => make("li", {}, n)));
}

const BUDGET = [
  ["method", m => named(m) + (m.note ? ` (${m.note})` : ""), true],
  ["tasks", m => `${m.tasks}/${m.of}`],
  ["seeds", m => m.seeds],
  ["cells", m => m.cells],
  [
    "mean retest, %",
    m =>
      m.mean == null
        ? "–"
        : `${percent(m.mean)} [${Math.round(100 * m.low)}, ${Math.round(100 * m.high)}] ${m.over_seeds ? "of seeds" : "of rollouts"}`,
  ],
  [
    "IQM, %",
    m =>
      m.iqm == null
        ? "–"
        : `${percent(m.iqm)} [${Math.round(100 * m.iqm_low)}, ${Math.round(100 * m.iqm_high)}] ${m.by_seed ? "of seeds" : "of rollouts"}`,
  ],
  ["optimiser steps", m => whole(m.steps)],
  ["seconds", m => whole(m.seconds)],
  [
    "of which",
    m =>
      Object.entries(m.phases)
        .map(([k, v]) => `${k} ${whole(v)}`)
        .join(", "),
    true,
  ],
  ["encoder parameters", m => whole(m.encoder)],
  ["trained parameters", m => whole(m.trained)],
];

function budgets(g) {
  $("methods-table").tHead.replaceChildren(
    make(
      "tr",
      {},
      BUDGET.map(([name, , word]) => make("th", { scope: "col", class: word ? "word" : null }, name)),
    ),
  );
  const best = [...g.methods].sort((a, b) => (b.mean ?? -1) - (a.mean ?? -1));
  $("methods-table").tBodies[0].replaceChildren(
    ...best.map(m =>
      make(
        "tr",
        {},
        BUDGET.map(([, value, word]) => make("td", { class: word ? "word" : null }, String(value(m)))),
      ),
    ),
  );
}

// A section that has nothing to show is not there, nor is the link to it.
function collapse(id, empty) {
  $(id).hidden = empty;
  document.querySelector(`nav a[href="#${id}"]`).hidden = empty;
}

function heads(g) {
  const place = $("heads-body");
  place.replaceChildren();
  collapse("heads", !g.heads);
  if (!g.heads) {
    return;
  }
  const { heads, methods, cells: rates, tau, tasks } = g.heads;
  place.append(
    make(
      "div",
      { class: "wide" },
      make(
        "table",
        { id: "heads-table" },
        make("caption", {}, `Mean retest in % over ${tasks.join(", ") || "no common task"}`),
        make(
          "thead",
          {},
          make(
            "tr",
            {},
            make("th", { scope: "col", class: "word" }, "method"),
            heads.map(h => make("th", { scope: "col" }, h)),
          ),
        ),
        make(
          "tbody",
          {},
          methods.map((m, i) =>
            make(
              "tr",
              {},
              make("th", { scope: "row", class: "word" }, m),
              rates[i].map(v => make("td", {}, percent(v))),
            ),
          ),
        ),
      ),
    ),
    make(
      "ul",
      { id: "tau" },
      tau.map(t =>
        make(
          "li",
          {},
          `${t.first} and ${t.second} rank ${t.methods} methods with Kendall's tau ${t.tau == null ? "undefined" : t.tau.toFixed(2)}`,
        ),
      ),
    ),
  );
}

function cameras(g) {
  const place = $("cameras-body");
  place.replaceChildren();
  const kinds = [...new Set(g.cameras.map(c => `${c.task}|${c.camera}|${c.axis}`))];
  collapse("cameras", !kinds.length);
  for (const kind of kinds) {
    const [task, camera, axis] = kind.split("|"),
      own = g.cameras.filter(c => `${c.task}|${c.camera}|${c.axis}` === kind);
    const at = make("div", { class: "chart" });
    place.append(make("h4", {}, `${task}: ${axis} of ${camera}`), at);
    chart(at, {
      series: own.map(c => ({
        label: `${c.method}, ${c.head}, seed ${c.seed}`,
        points: c.points,
        look: g.methods.findIndex(m => m.method === c.method && m.head === c.head),
        colour: g.methods.find(m => m.method === c.method && m.head === c.head)?.colour,
      })),
      x: axis === "distance" ? "times as far" : "degrees",
      y: "success, %",
      label: `Success over the ${axis} of ${camera}, ${task}`,
    });
  }
}

function show() {
  const g = groups[$("group").value];
  const tasks = [...(g.tasks.length > 1 ? ["mean"] : []), ...g.tasks],
    before = $("epochs-task").value;
  $("epochs-task").replaceChildren(
    ...tasks.map(t => make("option", { value: t }, t === "mean" ? "mean over the tasks that a method has" : t)),
  );
  if (tasks.includes(before)) $("epochs-task").value = before;
  for (const part of [summary, epochs, trees, inflated, budgets, heads, cameras]) part(g);
}

// -- the papers' tables: of which rows there are records -----------------------------------------------------------------

function fold() {
  let hidden = 0;
  for (const table of document.querySelectorAll("table.paper")) {
    let part = [];
    const close = () => {
      if (part.some(row => [...row.cells].slice(2).every(cell => cell.textContent === "not run"))) {
        hidden += 1;
        for (const row of part) row.classList.add("unmeasured");
      }
      part = [];
    };
    for (const row of table.tBodies[0].rows) {
      if (row.classList.contains("rule")) close();
      part.push(row);
    }
    close();
  }
  $("unmeasured-line").hidden = !hidden;
  $("unmeasured-count").textContent = `(${hidden} of the papers' rows have none)`;
  const apply = () => $("tables").classList.toggle("folded", !$("unmeasured").checked);
  $("unmeasured").onchange = apply;
  apply();
}

$("group").append(...groups.map((g, i) => make("option", { value: i }, `${g.suite}, protocol ${g.protocol}`)));
if (groups.length) {
  $("group").onchange = () => {
    show();
    remember();
  };
  $("epochs-task").onchange = () => epochs(groups[$("group").value]);
  const most = groups.map(g => cells.filter(c => c.suite === g.suite && c.protocol === g.protocol).length);
  const wanted = groups.findIndex(g => g.suite === asked.get("suite") && g.protocol === asked.get("protocol"));
  $("group").value = wanted < 0 ? most.indexOf(Math.max(...most)) : wanted;
  show();
} else {
  for (const id of ["summary", "charts"]) $(id).remove();
}
list();
fold();
