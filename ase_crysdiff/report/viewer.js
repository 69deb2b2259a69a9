/* A crystal in three dimensions: balls, bonds and the cell on a canvas, without any library.
   Part of ase-crysdiff, MIT licence. Data: one JSON block per page, see viewer.py. */
(() => {
"use strict";
const block = document.getElementById("crystals");
const dialog = document.getElementById("viewer");
if (!block || !dialog || !dialog.showModal) return;
const crystals = JSON.parse(block.textContent);
const canvas = dialog.querySelector("canvas"), pen = canvas.getContext("2d");
const title = dialog.querySelector(".viewer-title"), keys = dialog.querySelector(".keys");
const status = dialog.querySelector("[role=status]");
const BOND = 0.09, SEGMENTS = 16, STILL = [1, 0, 0, 0, 1, 0, 0, 0, 1];
let shown = 0, crystal, turn, zoom, filling = false, picked = [], centre, reach, edges, waiting = false;

/* Matrices are rows, nine numbers; axes are right, up and toward the eye. */
const times = (m, n) => STILL.map((_, k) => {
  const i = 3 * Math.floor(k / 3), j = k % 3;
  return m[i] * n[j] + m[i + 1] * n[j + 3] + m[i + 2] * n[j + 6];
});
const act = (m, p) => [0, 3, 6].map(i => m[i] * p[0] + m[i + 1] * p[1] + m[i + 2] * p[2]);
const minus = (p, q) => p.map((x, i) => x - q[i]);
const between = (p, q, t) => p.map((x, i) => x + t * (q[i] - x));
const cross = (p, q) => [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]];
const unit = p => { const n = Math.hypot(...p) || 1; return p.map(x => x / n); };
const yaw = t => [Math.cos(t), 0, Math.sin(t), 0, 1, 0, -Math.sin(t), 0, Math.cos(t)];
const pitch = t => [1, 0, 0, 0, Math.cos(t), -Math.sin(t), 0, Math.sin(t), Math.cos(t)];
const roll = t => [Math.cos(t), -Math.sin(t), 0, Math.sin(t), Math.cos(t), 0, 0, 0, 1];

function open(number) {
  shown = (number + crystals.length) % crystals.length;
  crystal = crystals[shown];
  const ends = [0, 1, 2].map(i => {
    const all = [...crystal.corners, ...crystal.atoms].map(p => p[i]);
    return [Math.min(...all), Math.max(...all)];
  });
  centre = ends.map(([low, high]) => (low + high) / 2);
  reach = Math.max(...[...crystal.corners, ...crystal.atoms].map(p => Math.hypot(...minus(p.slice(0, 3), centre)))) + 0.8;
  title.textContent = crystal.title;
  keys.replaceChildren(...crystal.elements.map(([symbol, colour]) => {
    const key = document.createElement("span"), ball = document.createElement("i");
    key.className = "key";
    ball.style.background = colour;
    key.append(ball, symbol);
    return key;
  }));
  canvas.setAttribute("aria-label", `${crystal.title}, a view that turns with the arrow keys`);
  cut();
  reset();
}

/* Edges of the cell in short pieces, without those inside of balls. */
function cut() {
  edges = [];
  for (let i = 0; i < 8; i++) for (const bit of [1, 2, 4]) if (!(i & bit)) {
    const at = t => between(crystal.corners[i], crystal.corners[i | bit], t / SEGMENTS);
    for (let k = 0; k < SEGMENTS; k++) {
      const inside = crystal.atoms.some(p => Math.hypot(...minus(p.slice(0, 3), at(k + 0.5))) < size(p));
      if (!inside) edges.push([at(k), at(k + 1)]);
    }
  }
}

function reset() { turn = STILL; zoom = 1; picked = []; say(""); redraw(); }
function say(words) { status.textContent = words; }
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}

/* Along an axis of the cell (0, 1, 2 for a, b, c): it points at the eye, the next one but one up. */
function along(axis) {
  const edge = k => minus(crystal.corners[[4, 2, 1][k % 3]], crystal.corners[0]);
  const eye = unit(edge(axis)), up = edge(axis === 2 ? 1 : 2);
  const right = unit(cross(up, eye));
  turn = [...right, ...cross(eye, right), ...eye];
  redraw();
}

/* Place on the canvas, depth, and pixels per Å there: a slight perspective. */
function place(p) {
  const [x, y, z] = act(turn, minus(p, centre)), far = 5 * reach;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  const scale = zoom * Math.min(width, height) / (2.05 * reach) * far / (far - z);
  return [width / 2 + scale * x, height / 2 - scale * y, z, scale];
}

const size = atom => crystal.elements[atom[3]][filling ? 3 : 2];
/* Balls overlap the ends of bonds a little. */
const radius = atom => 0.92 * size(crystal.atoms[atom]);

function balls() {
  return crystal.atoms.map(p => {
    const [x, y, z, scale] = place(p.slice(0, 3));
    return { x, y, z, r: scale * size(p), colour: crystal.elements[p[3]][1] };
  });
}

function draw() {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.lineCap = "round";
  const ink = getComputedStyle(dialog).color, spheres = balls(), pieces = [];
  spheres.forEach((ball, i) => pieces.push([ball.z, () => drawBall(ball, picked.includes(i), ink)]));
  if (!filling) for (const [i, j] of crystal.bonds) {
    const a = crystal.atoms[i].slice(0, 3), b = crystal.atoms[j].slice(0, 3);
    const length = Math.hypot(...minus(a, b)), start = radius(i) / length, end = 1 - radius(j) / length;
    const middle = (start + end) / 2;
    for (const [atom, from, to] of [[i, start, middle], [j, middle, end]]) {
      const p = place(between(a, b, from)), q = place(between(a, b, to));
      pieces.push([(p[2] + q[2]) / 2, () => line(p, q, 2 * BOND * p[3], spheres[atom].colour, ink)]);
    }
  }
  for (const ends of edges) {
    const [p, q] = ends.map(place);
    pieces.push([(p[2] + q[2]) / 2, () => line(p, q, 1, ink)]);
  }
  pieces.sort((p, q) => p[0] - q[0]).forEach(piece => piece[1]());
  pen.fillStyle = ink;
  pen.font = "italic 15px Georgia, serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  [[4, "a"], [2, "b"], [1, "c"]].forEach(([corner, name]) => {
    const [o, e] = [crystal.corners[0], crystal.corners[corner]];
    const [x, y] = place(between(o, e, 1 + 0.9 / Math.hypot(...minus(e, o))));
    pen.fillText(name, x, y);
  });
}

function line(p, q, width, colour, rim) {
  for (const [w, c] of rim ? [[width + 1, rim], [width, colour]] : [[width, colour]]) {
    pen.lineWidth = w;
    pen.strokeStyle = c;
    pen.globalAlpha = c === colour && rim ? 1 : 0.55;
    pen.beginPath();
    pen.moveTo(p[0], p[1]);
    pen.lineTo(q[0], q[1]);
    pen.stroke();
  }
  pen.globalAlpha = 1;
}

function drawBall({ x, y, r, colour }, isPicked, ink) {
  const light = pen.createRadialGradient(x - 0.35 * r, y - 0.4 * r, 0.05 * r, x, y, r);
  light.addColorStop(0, "rgba(255,255,255,.85)");
  light.addColorStop(0.35, "rgba(255,255,255,.12)");
  light.addColorStop(1, "rgba(0,0,0,.42)");
  pen.beginPath();
  pen.arc(x, y, r, 0, 2 * Math.PI);
  for (const paint of [colour, light]) { pen.fillStyle = paint; pen.fill(); }
  if (isPicked) { pen.lineWidth = 3; pen.strokeStyle = ink; pen.stroke(); }
}

/* The name of an atom that was clicked; with a second one their distance, with a third the angle. */
function pick(x, y) {
  const hits = balls().map((b, i) => [b, i]).filter(([b]) => Math.hypot(b.x - x, b.y - y) <= b.r);
  if (!hits.length) picked = [];
  else {
    const atom = hits.sort((p, q) => q[0].z - p[0].z)[0][1];
    picked = picked.includes(atom) || picked.length === 3 ? [atom] : [...picked, atom];
  }
  const points = picked.map(i => crystal.atoms[i].slice(0, 3));
  const names = picked.map(i => crystal.elements[crystal.atoms[i][3]][0]).join("–");
  if (points.length < 2) say(names && `${names}; click another atom for the distance`);
  else if (points.length === 2) say(`${names}: ${Math.hypot(...minus(points[0], points[1])).toFixed(3)} Å`);
  else {
    const [p, q] = [0, 2].map(i => unit(minus(points[i], points[1])));
    const cosine = Math.max(-1, Math.min(1, p[0] * q[0] + p[1] * q[1] + p[2] * q[2]));
    say(`${names}: ${(Math.acos(cosine) * 180 / Math.PI).toFixed(1)}°`);
  }
  redraw();
}

const scale = factor => { zoom = Math.max(0.3, Math.min(8, zoom * factor)); redraw(); };
const spin = matrix => { turn = times(matrix, turn); redraw(); };
const STEP = Math.PI / 24;
const ACTIONS = {
  ArrowLeft: () => spin(yaw(-STEP)), ArrowRight: () => spin(yaw(STEP)),
  ArrowUp: () => spin(pitch(-STEP)), ArrowDown: () => spin(pitch(STEP)),
  ",": () => spin(roll(STEP)), ".": () => spin(roll(-STEP)),
  "+": () => scale(1.15), "=": () => scale(1.15), "-": () => scale(1 / 1.15),
  a: () => along(0), b: () => along(1), c: () => along(2), Home: reset, r: reset,
  s: () => { filling = !filling; cut(); redraw(); },
  PageDown: () => open(shown + 1), PageUp: () => open(shown - 1),
  n: () => open(shown + 1), p: () => open(shown - 1), q: () => dialog.close(),
};
dialog.addEventListener("keydown", event => {
  const action = ACTIONS[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  action();
});
for (const button of dialog.querySelectorAll("button[data-key]")) {
  button.addEventListener("click", () => ACTIONS[button.dataset.key]());
}

const fingers = new Map();
let moved = 0;
canvas.addEventListener("pointerdown", event => {
  canvas.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
  if (fingers.size === 1) moved = 0;
});
canvas.addEventListener("pointermove", event => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const now = [event.offsetX, event.offsetY];
  const other = [...fingers].find(([id]) => id !== event.pointerId);
  moved += Math.hypot(...minus(now, before));
  if (other) {
    const [p, q] = [before, now].map(point => minus(point, other[1]));
    scale(Math.hypot(...q) / (Math.hypot(...p) || 1));
    spin(roll(Math.atan2(p[1], p[0]) - Math.atan2(q[1], q[0])));
  } else {
    const [x, y] = minus(now, before).map(d => d * Math.PI / canvas.clientWidth);
    spin(times(pitch(y), yaw(x)));
  }
  fingers.set(event.pointerId, now);
});
for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, event => {
  if (fingers.delete(event.pointerId) && kind === "pointerup" && moved < 4) pick(event.offsetX, event.offsetY);
});
canvas.addEventListener("wheel", event => {
  event.preventDefault();
  scale(Math.exp(-event.deltaY / 500));
}, { passive: false });
canvas.addEventListener("dblclick", reset);
dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
window.addEventListener("resize", () => { if (dialog.open) redraw(); });

/* Without this script drawings are drawings; with it they are doors. */
for (const view of document.querySelectorAll("[data-view]")) {
  const number = Number(view.dataset.view), button = document.createElement("button");
  button.type = "button";
  button.className = "turn";
  button.textContent = "3-D";
  button.setAttribute("aria-label", `Turn ${crystals[number].title} in three dimensions`);
  view.append(button);
  view.classList.add("live");
  view.addEventListener("click", () => { dialog.showModal(); open(number); canvas.focus(); });
}
})();
