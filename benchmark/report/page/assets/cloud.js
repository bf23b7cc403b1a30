"use strict";
// A cloud that turns: dragged, or by the arrow keys.

// points: base64 of uint16 x, y, z over [low, high] of each axis; colour: base64 of uint8 r, g, b, or none (height).
function cloud(place, { points, low, high, colour, label }) {
  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const raw = new Uint16Array(bytes(points).buffer),
    rgb = colour ? bytes(colour) : null,
    n = raw.length / 3;
  const at = [...Array(n).keys()].map(i => [0, 1, 2].map(a => low[a] + ((high[a] - low[a]) * raw[3 * i + a]) / 65535));
  const middle = [0, 1, 2].map(a => (low[a] + high[a]) / 2);
  const reach = Math.max(1e-6, ...at.map(p => Math.hypot(...p.map((v, a) => v - middle[a]))));
  const canvas = make("canvas", {
    width: 420,
    height: 360,
    tabindex: 0,
    role: "img",
    "aria-label": `${label}: ${n} points. Drag or use the arrow keys to turn it, plus and minus to come closer.`,
  });
  let turn = -0.6,
    tilt = 0.5,
    zoom = 1;
  const pen = canvas.getContext("2d");
  const draw = () => {
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const scale = (zoom * 0.46 * canvas.height) / reach;
    at.map((p, i) => {
      const [x, y, z] = p.map((v, a) => v - middle[a]);
      const u = x * Math.cos(turn) - y * Math.sin(turn),
        v = x * Math.sin(turn) + y * Math.cos(turn);
      return [u, z * Math.cos(tilt) + v * Math.sin(tilt), v * Math.cos(tilt) - z * Math.sin(tilt), i];
    })
      .sort((a, b) => b[2] - a[2])
      .forEach(([u, w, , i]) => {
        const height = (at[i][2] - low[2]) / (high[2] - low[2] || 1);
        pen.fillStyle = rgb
          ? `rgb(${rgb[3 * i]},${rgb[3 * i + 1]},${rgb[3 * i + 2]})`
          : `hsl(${250 - 190 * height}, 75%, ${35 + 25 * height}%)`;
        pen.beginPath();
        pen.arc(canvas.width / 2 + scale * u, canvas.height / 2 - scale * w, 2.4, 0, 7);
        pen.fill();
      });
    canvas.dataset.view = `${turn.toFixed(3)},${tilt.toFixed(3)},${zoom.toFixed(3)}`;
  };
  canvas.onpointerdown = e => canvas.setPointerCapture(e.pointerId);
  canvas.onpointermove = e => {
    if (e.buttons) {
      turn += e.movementX / 100;
      tilt += e.movementY / 100;
      draw();
    }
  };
  canvas.onkeydown = e => {
    const [a, b, c] = {
      ArrowLeft: [-1, 0, 0],
      ArrowRight: [1, 0, 0],
      ArrowUp: [0, -1, 0],
      ArrowDown: [0, 1, 0],
      "+": [0, 0, 1],
      "-": [0, 0, -1],
    }[e.key] ?? [0, 0, 0];
    if (a || b || c) {
      turn += a / 10;
      tilt += b / 10;
      zoom *= 1.15 ** c;
      draw();
      e.preventDefault();
    }
  };
  draw();
  place.append(make("figure", {}, canvas, make("figcaption", {}, label)));
}
