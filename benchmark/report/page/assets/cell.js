"use strict";
const $ = id => document.getElementById(id);
const name = decodeURIComponent(location.search.slice(1));

function fill(c) {
  const rate = ([k, n]) => `${k}/${n}${n ? ` = ${percent(k / n)} %` : ""}`;
  document.title = `${c.task}, ${c.method}, ${c.head}, seed ${c.seed}`;
  $("title").textContent = `${c.task}: ${c.method} under ${c.head}, seed ${c.seed}`;
  $("summary").textContent = `${c.title}. ${c.suite}, protocol ${c.protocol}${c.note ? `; ${c.note}` : ""}.`;
  const tile = (value, what) => make("li", {}, make("b", {}, value), make("span", {}, what));
  const share = ([k, n]) => (n ? `${Math.round((100 * k) / n)} %` : "–");
  $("tiles").append(
    tile(
      share(c.retest),
      `retest: ${c.retest[0]}/${c.retest[1]} fresh episodes, 95 % interval [${Math.round(100 * c.low)}, ${Math.round(100 * c.high)}]`,
    ),
    tile(
      share(c.best),
      `best*: ${c.best[0]}/${c.best[1]} at epoch ${c.selected}, ${c.selects ? "the highest evaluation" : "the last: nothing is selected"}`,
    ),
    tile(share(c.last), `last: ${c.last[0]}/${c.last[1]}, the last checkpoint`),
    tile(
      whole(c.errors),
      `episodes that could not be run${c.failed_actions ? `; ${c.failed_actions} ended by a failed action` : ""}`,
    ),
  );
  $("luck").textContent =
    "The interval is of these episodes: one training seed says nothing about retraining." +
    (c.expected == null
      ? ""
      : ` best* is ${(100 * c.gap).toFixed(1)} points above the retest; selection bias alone would give ${(100 * c.expected).toFixed(1)}.`);
  const wilson = (k, n) => {
    const z = 1.959963984540054,
      p = k / n,
      d = 1 + (z * z) / n,
      h = (z / d) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n)),
      m = (p + (z * z) / (2 * n)) / d;
    return [Math.max(0, m - h), Math.min(1, m + h)];
  };
  const end = Math.max(...c.curve.map(p => p[0]));
  chart($("curve-chart"), {
    x: "epoch",
    y: "success, %",
    label: `Success over epochs, ${document.title}`,
    series: [
      {
        label: "evaluation",
        points: c.curve.filter(p => p[2]).map(([e, k, n]) => [e, k / n, ...wilson(k, n), e === c.selected]),
      },
      ...(c.retest[1]
        ? [
            {
              label: "retest of the selected checkpoint",
              mark: false,
              points: [0, end].map(e => [e, c.retest[0] / c.retest[1], c.low, c.high]),
            },
          ]
        : []),
    ],
  });

  const outcome = won => (won > 0 ? "success" : won < 0 ? "could not be run" : "failure");
  const strip = (what, e) => {
    const said = make("output", { class: "note episodes-said", "aria-live": "polite" });
    const marks = make(
      "span",
      {
        class: "episodes",
        role: "img",
        "aria-label": `${what}: ${e.k} of ${e.n} succeed`,
        onclick: event => {
          const mark = event.target.closest("i");
          if (!mark) return;
          for (const other of marks.querySelectorAll(".chosen")) other.classList.remove("chosen");
          mark.classList.add("chosen");
          said.textContent = mark.title;
        },
      },
      e.episodes.map(([seed, won, steps]) =>
        make(
          "i",
          { class: won > 0 ? "won" : null, title: `seed ${seed}: ${outcome(won)} in ${steps} steps` },
          won < 0 ? "×" : "",
        ),
      ),
    );
    return make("div", { class: "row" }, make("span", { class: "what" }, `${what}: ${e.k}/${e.n}`), marks, said);
  };
  $("episodes-body").append(
    strip("retest", c.retested),
    make(
      "details",
      {},
      make("summary", {}, `The ${c.evaluations.length} evaluations`),
      c.evaluations.map(e => strip(`epoch ${e.epoch}${e.epoch === c.selected ? " (selected)" : ""}`, e)),
    ),
    asTable(
      "Episodes of the retest",
      ["seed", "outcome", "steps"],
      c.retested.episodes.map(([seed, won, steps]) => [seed, outcome(won), steps]),
    ),
  );

  const place = $("media-body");
  if (c.media.films?.length) {
    place.append(
      make(
        "div",
        { class: "films" },
        // failures first: they say what to mend
        [...c.media.films]
          .sort((a, b) => a.label.startsWith("success") - b.label.startsWith("success"))
          .map(f =>
          make(
            "figure",
            { class: f.label.startsWith("success") ? "won" : "lost" },
            make("video", {
              src: `media/${f.file}`,
              controls: "",
              muted: "",
              loop: "",
              playsinline: "",
              preload: "metadata",
              "aria-label": f.label,
            }),
            make("figcaption", {}, f.label),
          ),
        ),
      ),
    );
  }
  const seen = make("div", { class: "films" });
  for (const picture of c.media.clouds ?? []) cloud(seen, picture);
  place.append(seen);
  if (c.media.note) place.append(make("p", { class: "note" }, c.media.note));
  if (!c.media.films)
    place.append(
      make(
        "p",
        { class: "note" },
        `No video. bench report --videos ${c.task}/${c.method} replays the recorded actions and makes them.`,
      ),
    );

  const shifts = $("camera-body");
  for (const [what, e] of Object.entries(c.shifts)) shifts.append(strip(what, e));
  for (const curve of c.curves) {
    const at = make("div", { class: "chart" });
    shifts.append(at);
    chart(at, {
      series: [{ label: curve.axis, points: curve.points }],
      x: curve.axis === "distance" ? "times as far" : "degrees",
      y: "success, %",
      label: `Success over the ${curve.axis} of ${curve.camera}`,
    });
  }
  if (c.damage) shifts.append(make("p", {}, c.damage));
  $("camera").hidden = !c.damage && !Object.keys(c.shifts).length;

  const held = c.held_out.filter(p => p[1] > 0);
  const losses = [...c.losses, ...held.map(p => p[1])].filter(v => v > 0);
  chart($("loss-chart"), {
    series: [
      { label: "training", points: c.losses.map((v, i) => [i + 1, v]).filter(p => p[1] > 0), mark: false, band: false },
      { label: "held-out demonstrations", points: held, band: false },
    ],
    x: "epoch",
    y: "loss",
    log: true,
    range: { y: [Math.min(...losses), Math.max(...losses)] },
    label: "Loss over epochs",
  });

  const facts = [
    ["command", c.provenance.command],
    ["record", c.record],
    ["commit", c.provenance.git?.commit],
    ["demonstrations (sha256)", c.demo_hash],
    ["renderer", c.fingerprint],
    ["success rule", `${c.success_rule}, ${c.horizon} steps`],
    ["identity", c.identity_hash],
    ...(c.migrated.unknown?.length
      ? [["not known", `${c.migrated.unknown.join("; ")}: the record's first form, schema 1, did not keep it`]]
      : []),
    [
      "seconds",
      Object.entries(c.timings)
        .map(([k, v]) => `${k} ${v}`)
        .join(", "),
    ],
  ];
  $("facts-body").append(
    make(
      "div",
      { class: "wide" },
      make(
        "table",
        {},
        make(
          "tbody",
          {},
          facts.map(([k, v]) =>
            make(
              "tr",
              {},
              make("th", { scope: "row", class: "word" }, k),
              make("td", { class: "word" }, String(v ?? "–")),
            ),
          ),
        ),
      ),
    ),
  );
  for (const [what, value] of [
    ["Settings (what a number depends on)", c.identity],
    ["Method card", c.card],
    ["Weights", c.weights],
    [`Encoder before and after training: ${c.frozen.unchanged ? "unchanged" : "trained"}`, c.frozen],
    ["Provenance", c.provenance],
    ["Demonstrations", c.demos],
  ]) {
    $("facts-body").append(
      make("details", {}, make("summary", {}, what), make("pre", { tabindex: 0 }, JSON.stringify(value, null, 1))),
    );
  }
}

const script = make("script", {
  src: `cells/${encodeURIComponent(name)}.js`,
  onload: () => fill(window.CELL),
  onerror: () => {
    $("title").textContent = "No such cell";
    $("summary").textContent = `There is no cell '${name}' in this report.`;
  },
});
if (/^[A-Za-z0-9._-]+$/.test(name)) document.head.append(script);
else script.dispatchEvent(new Event("error"));
