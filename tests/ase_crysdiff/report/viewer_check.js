// Runs viewer.js in a document of toys: it draws, turns, zooms and measures.
// node viewer_check.js viewer.js data.json
const fs = require("node:fs"), vm = require("node:vm");
const [script, data] = process.argv.slice(2).map(path => fs.readFileSync(path, "utf-8"));

const made = () => ({ style: {}, classList: { add() {} }, listeners: {}, attributes: {}, dataset: {},
  append() {}, replaceChildren() {}, focus() {}, setPointerCapture() {},
  setAttribute(name, value) { this.attributes[name] = value; },
  addEventListener(kind, act) { this.listeners[kind] = act; } });
let arcs = [];
const pen = new Proxy({}, { get: (_, name) => name === "arc" ? (x, y, r) => arcs.push([x, y, r])
  : () => ({ addColorStop() {} }), set: () => true });
const canvas = { ...made(), clientWidth: 600, clientHeight: 500, getContext: () => pen };
const title = made(), keys = made(), status = made(), view = { ...made(), dataset: { view: "0" } };
const dialog = { ...made(), showModal() { this.open = true; }, close() { this.open = false; },
  querySelector: s => ({ canvas, ".viewer-title": title, ".keys": keys, "[role=status]": status })[s],
  querySelectorAll: () => [] };
globalThis.window = { addEventListener() {} };
globalThis.getComputedStyle = () => ({ color: "#000" });
globalThis.requestAnimationFrame = act => act();
globalThis.document = { createElement: made, querySelectorAll: () => [view],
  getElementById: id => id === "viewer" ? dialog : { textContent: data } };

vm.runInThisContext(script);

const assert = require("node:assert");
const press = key => { arcs = []; dialog.listeners.keydown({ key, preventDefault() {} }); return arcs; };
view.listeners.click();
const first = press("r");
assert.equal(first.length, JSON.parse(data)[0].atoms.length);
assert(first.every(([x, y, r]) => x - r > -1 && x + r < 601 && y - r > -1 && y + r < 501 && r > 0));
console.log("balls");
press("ArrowLeft");
const back = press("ArrowRight");
assert(back.every((ball, i) => ball.every((value, k) => Math.abs(value - first[i][k]) < 1e-6)));
const over = press("ArrowUp");
assert(over.some((ball, i) => Math.abs(ball[1] - first[i][1]) > 1));
console.log("turned");
press("r");
assert(Math.max(...press("+").map(b => b[2])) > 1.1 * Math.max(...first.map(b => b[2])));
console.log("nearer");
press("r");
const along = press("c"), middle = along.map(b => Math.hypot(b[0] - 300, b[1] - 250));
assert(Math.min(...middle) < 40);
console.log("along");
press("r");
const put = (x, y) => { for (const kind of ["pointerdown", "pointerup"])
  canvas.listeners[kind]({ pointerId: 1, offsetX: x, offsetY: y }); };
const shown = press("r").slice(-2);
shown.forEach(([x, y]) => put(x, y));
assert.match(status.textContent, /^[A-Z][a-z]?–[A-Z][a-z]?: \d\.\d{3} Å$/);
const said = Number(status.textContent.match(/[\d.]+(?= Å)/)[0]), atoms = JSON.parse(data)[0].atoms;
const apart = (p, q) => Math.hypot(...[0, 1, 2].map(k => p[k] - q[k]));
assert(atoms.some(p => atoms.some(q => Math.abs(apart(p, q) - said) < 6e-4)));
console.log("measured");
press("n");
assert.equal(title.textContent, "SrTiO3");
console.log("next");
