"use strict";
// Charts of the report, without a library: the pages have to open from disk in any year.

const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]; // of what is no method; methods bring their own
const DASHES = ["", "7 4", "2 3", "9 3 2 3", "12 4", "4 2", "1 4", "14 3 2 3 2 3"];
const MARKS = ["circle", "square", "triangle", "diamond"];
const percent = v => (v == null ? "–" : (100 * v).toFixed(1));
const whole = v => (v == null ? "–" : Math.round(v).toLocaleString("en"));

function make(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "text", "title"].includes(name) || name.startsWith("svg:");
  const node = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", name.replace("svg:", ""))
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value != null) node.setAttribute(key, value);
  }
  node.append(...children.flat());
  return node;
}

// Colour is never alone: every series has its own dashes and its own mark.
function look(index, colour) {
  return {
    colour: colour ?? COLOURS[index % COLOURS.length],
    dash: DASHES[index % DASHES.length],
    mark: MARKS[index % MARKS.length],
  };
}

function markPath(kind, x, y, r = 4) {
  if (kind === "circle") return `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`;
  if (kind === "square") return `M${x - r},${y - r}h${2 * r}v${2 * r}h${-2 * r}z`;
  if (kind === "triangle") return `M${x},${y - r}L${x + r},${y + r}L${x - r},${y + r}z`;
  return `M${x},${y - r - 1}L${x + r + 1},${y}L${x},${y + r + 1}L${x - r - 1},${y}z`;
}

function ticks(low, high, count, wholes = false) {
  const rough = (high - low) / count || 1,
    power = 10 ** Math.floor(Math.log10(rough));
  const fine = [1, 2, 5, 10].map(m => m * power).find(s => s >= rough);
  const step = wholes ? Math.max(1, Math.ceil(fine)) : fine;
  const found = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + 1e-9; v += step) found.push(+v.toFixed(10));
  return found;
}

// 1, 2 and 5 of every power of ten between, or the two ends where that is fewer than two.
function decades(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
    for (const m of [1, 2, 5]) {
      const v = +(m * 10 ** power).toPrecision(3);
      if (v >= low && v <= high) found.push(v);
    }
  const every = found.length > 7 ? found.filter(v => /^1/.test(v.toExponential())) : found;
  return every.length > 1 ? every : [low, high];
}

// A chart is drawn in the pixels that it has, so that its text is as large on a phone; and again when they change.
const drawn = new Map();
function widthOf(place) {
  return Math.max(300, Math.min(860, place.clientWidth || 860));
}
let waiting = 0;
window.addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    for (const [place, [width, again]] of [...drawn])
      if (!place.isConnected) drawn.delete(place);
      else if (widthOf(place) !== width) again();
  }, 150);
});

// series: [{label, colour, points: [[x, y, low, high]], line, band, mark, star}]; y from 0 to 1 unless `range` says otherwise.
function chart(place, options) {
  const { series, x, y, label, range, lines = [], log = false } = options;
  const W = widthOf(place);
  drawn.set(place, [W, () => chart(place, options)]);
  place.replaceChildren();
  if (!series.some(s => s.points.length)) {
    place.append(make("p", { class: "note" }, "nothing was measured"));
    return;
  }
  const named = W >= 640 && series.filter(s => s.line !== false && s.points.length).length <= 8;
  const H = W < 500 ? 280 : 340,
    L = 52,
    R = named && series.some(s => s.line !== false) ? 190 : 14,
    T = 12,
    B = 44,
    hidden = new Set();
  const all = series.flatMap(s => s.points);
  const xs = all.map(p => p[0]),
    xLow = Math.min(...xs, ...(range?.x ?? [])),
    xHigh = Math.max(...xs, ...(range?.x ?? []));
  const ys = range?.y ?? [0, 1];
  const px = v => L + (W - L - R) * (xHigh > xLow ? (v - xLow) / (xHigh - xLow) : 0.5);
  const scale = v => (log ? Math.log10(v) : v);
  const py = v => H - B - (H - T - B) * ((scale(v) - scale(ys[0])) / (scale(ys[1]) - scale(ys[0]) || 1));
  const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, width: W, height: H, role: "img", "aria-label": label });
  const draw = () => {
    svg.replaceChildren(make("title", {}, label));
    const rows = log ? decades(...ys) : ticks(...ys, 5);
    for (const v of rows) {
      svg.append(
        make("line", { class: "grid", x1: L, x2: W - R, y1: py(v), y2: py(v) }),
        make(
          "text",
          { x: L - 8, y: py(v) + 4, "text-anchor": "end" },
          range?.y ? String(+v.toPrecision(3)) : String(Math.round(100 * v)),
        ),
      );
    }
    for (const v of ticks(xLow, xHigh, W < 500 ? 5 : 9, x === "epoch")) {
      svg.append(
        make(
          "text",
          { x: px(v), y: H - B + 18, "text-anchor": "middle" },
          range?.percent ? String(Math.round(100 * v)) : String(v),
        ),
      );
    }
    svg.append(
      make("text", { class: "soft", x: (L + W - R) / 2, y: H - 8, "text-anchor": "middle" }, x),
      make(
        "text",
        { class: "soft", transform: `translate(13 ${(T + H - B) / 2}) rotate(-90)`, "text-anchor": "middle" },
        y,
      ),
    );
    for (const points of lines) {
      svg.append(
        make("path", {
          d: "M" + points.map(p => `${px(p[0])},${py(p[1])}`).join("L"),
          fill: "none",
          stroke: "currentColor",
          "stroke-width": 1,
          "stroke-dasharray": points.dash ?? "",
          opacity: 0.6,
        }),
      );
    }
    series.forEach((s, index) => {
      if (hidden.has(index) || !s.points.length) return;
      const style = look(s.look ?? index, s.colour),
        g = make("g", { "data-series": s.label });
      const banded = s.points.filter(p => p[2] != null);
      if (s.band !== false && banded.length > 1) {
        const up = banded.map(p => `${px(p[0])},${py(p[3])}`),
          down = banded.map(p => `${px(p[0])},${py(p[2])}`).reverse();
        g.append(make("path", { d: "M" + [...up, ...down].join("L") + "z", fill: style.colour, opacity: 0.14 }));
      }
      if (s.line !== false) {
        g.append(
          make("path", {
            d: "M" + s.points.map(p => `${px(p[0])},${py(p[1])}`).join("L"),
            fill: "none",
            stroke: style.colour,
            "stroke-width": 2,
            "stroke-dasharray": style.dash,
          }),
        );
      }
      if (s.mark !== false)
        for (const p of s.points) {
          const mark = make(
            "path",
            {
              d: markPath(style.mark, px(p[0]), py(p[1]), p[4] ? 6 : 3.5),
              fill: p[4] ? "none" : style.colour,
              stroke: style.colour,
              "stroke-width": 1.5,
            },
            make("title", {}, p[5] ?? `${s.label}: ${p[0]}, ${range?.y ? p[1] : percent(p[1]) + " %"}`),
          );
          g.append(p[6] ? make("svg:a", { href: p[6] }, mark) : mark);
        }
      svg.append(g);
    });
    if (named) label_ends();
  };

  // The name of each line at its end, moved apart where they would lie on each other.
  const label_ends = () => {
    const ends = series
      .map((s, index) => ({ s, index, last: s.points.at(-1) }))
      .filter(({ s, index, last }) => s.line !== false && last && !hidden.has(index))
      .map(({ s, index, last }) => ({ text: s.label, y: py(last[1]), x: px(last[0]), index, s }))
      .sort((a, b) => a.y - b.y);
    for (let i = 1; i < ends.length; i++) ends[i].y = Math.max(ends[i].y, ends[i - 1].y + 14);
    const over = ends.length ? ends.at(-1).y - (H - B) : 0;
    if (over > 0) for (const end of ends) end.y -= over;
    for (let i = ends.length - 2; i >= 0; i--) ends[i].y = Math.min(ends[i].y, ends[i + 1].y - 14);
    for (const { text, y, index, s } of ends) {
      const short = text.length > 26 ? `${text.slice(0, 25)}…` : text;
      svg.append(
        make("path", { d: markPath(look(s.look ?? index).mark, W - R + 10, y), fill: look(index, s.colour).colour }),
        make("text", { class: "end", x: W - R + 20, y: y + 4 }, short),
      );
    }
  };
  draw();
  const legend = make(
    "ul",
    { class: "legend" },
    series.map((s, index) => {
      const style = look(s.look ?? index, s.colour);
      const button = make(
        "button",
        {
          type: "button",
          "aria-pressed": "true",
          onclick: () => {
            hidden.has(index) ? hidden.delete(index) : hidden.add(index);
            button.setAttribute("aria-pressed", String(!hidden.has(index)));
            draw();
          },
        },
        make(
          "svg",
          { width: 34, height: 12, "aria-hidden": "true" },
          s.line === false
            ? []
            : make("line", {
                x1: 1,
                x2: 33,
                y1: 6,
                y2: 6,
                stroke: style.colour,
                "stroke-width": 2,
                "stroke-dasharray": style.dash,
              }),
          s.mark === false ? [] : make("path", { d: markPath(style.mark, 17, 6), fill: style.colour }),
        ),
        s.label,
      );
      return make("li", {}, button);
    }),
  );
  place.append(
    svg,
    legend,
    asTable(
      label,
      [x, "series", y, "low", "high"],
      series.flatMap(s =>
        s.points.map(p => [
          p[0],
          s.label,
          range?.y ? p[1] : percent(p[1]),
          p[2] == null ? "" : percent(p[2]),
          p[3] == null ? "" : percent(p[3]),
        ]),
      ),
    ),
  );
}

// rows: [{group, label, rate, low, high, look, href}], one line each under its group's heading.
function forest(place, rows, label) {
  const W = widthOf(place);
  drawn.set(place, [W, () => forest(place, rows, label)]);
  place.replaceChildren();
  if (!rows.length) {
    place.append(make("p", { class: "note" }, "nothing was measured"));
    return;
  }
  // On a phone a row's name stands above its line.
  const narrow = W < 640,
    left = narrow ? 10 : 250,
    right = narrow ? 118 : 150,
    line = narrow ? 34 : 19;
  const groups = [...new Set(rows.map(r => r.group))],
    H = 30 + groups.length * 24 + rows.length * line;
  const px = v => left + (W - left - right) * v;
  const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, width: W, height: H, role: "img", "aria-label": label }, make("title", {}, label));
  for (const v of [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(
      make("line", { class: "grid", x1: px(v), x2: px(v), y1: 18, y2: H }),
      make("text", { x: px(v), y: 12, "text-anchor": "middle" }, String(100 * v)),
    );
  }
  let y = 22;
  for (const group of groups) {
    y += 18;
    svg.append(make("text", { x: 4, y, "font-weight": 600 }, group));
    y += 6;
    for (const r of rows.filter(r => r.group === group)) {
      y += line;
      const style = look(r.look, r.colour);
      svg.append(
        narrow
          ? make("text", { class: "soft", x: left, y: y - 12 }, r.label)
          : make("text", { x: left - 10, y, "text-anchor": "end" }, r.label),
        make("line", { x1: px(r.low), x2: px(r.high), y1: y - 4, y2: y - 4, stroke: style.colour, "stroke-width": 2 }),
        make("path", { d: markPath(style.mark, px(r.rate), y - 4), fill: style.colour }),
        make(
          "text",
          { x: W - right + 10, y },
          `${percent(r.rate)} [${Math.round(100 * r.low)}, ${Math.round(100 * r.high)}]`,
        ),
      );
    }
  }
  place.append(
    svg,
    asTable(
      label,
      ["task", "method", "%", "low", "high"],
      rows.map(r => [r.group, r.label, percent(r.rate), percent(r.low), percent(r.high)]),
    ),
  );
}

function asTable(label, head, rows) {
  const words = v => (typeof v === "string" && Number.isNaN(parseFloat(v)) && v !== "" ? "word" : "");
  return make(
    "details",
    {},
    make("summary", {}, "The numbers"),
    make(
      "div",
      { class: "wide" },
      make(
        "table",
        {},
        make("caption", {}, label),
        make(
          "thead",
          {},
          make(
            "tr",
            {},
            head.map(h => make("th", { scope: "col" }, h)),
          ),
        ),
        make(
          "tbody",
          {},
          rows.map(row =>
            make(
              "tr",
              {},
              row.map(v => make("td", { class: words(v) }, String(v))),
            ),
          ),
        ),
      ),
    ),
  );
}
