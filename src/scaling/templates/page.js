"use strict";
// The page: controls, the chosen run, links and sorting. Figures are drawn anew when something changes.
const MANY = 12;
// Named one by one: a later plotly's button that sends something elsewhere must not come in by itself.
const config = { responsive: true, displaylogo: false, toImageButtonOptions: { format: "svg" },
                 modeBarButtons: [["toImage"], ["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]] };

function drawAll() {
  const look = theme();
  for (const place of document.querySelectorAll(".figure")) {
    const [traces, layout] = drawings[place.dataset.kind](place.dataset.dataset, look);
    Plotly.react(place, traces, layout, config);
    if (!place.listening) place.on("plotly_click", (event) => choose(event.points[0].customdata));
    place.listening = true;
  }
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const runLink = (run, text) => element("a", { href: data.link + encodeURIComponent(run), target: "_blank", rel: "noopener", title: run, textContent: text });

// A click on a run's point shows it, and opens it where a server is known to answer; on a mean it shows all its runs.
function choose(chosen) {
  if (!chosen) return;
  const [index, n, place] = chosen, curve = data.curves[index];
  const places = place === null ? curve.places.get(n) : [place];
  const lines = places.map((i) => element("p", {}, `seed ${curve.points.seed[i]}: test ${percent(curve.points.test[i])}, train ${percent(curve.points.train[i])}, run `,
    element("code", { className: "select", textContent: curve.points.run[i] }), " ", runLink(curve.points.run[i], "open in MLflow")));
  document.getElementById("chosen").replaceChildren(element("p", {}, element("strong", { textContent: `${curve.label}, n = ${n}` })), ...lines);
  if (data.served && place !== null) window.open(data.link + encodeURIComponent(curve.points.run[place]), "_blank", "noopener");
}

function swatch(curve) {
  const place = document.createElement("span");
  const colour = curve.colour === "#000000" ? "currentColor" : curve.colour;
  const shapes = { circle: '<circle cx="15" cy="6" r="4"/>', square: '<rect x="11" y="2" width="8" height="8"/>', "triangle-up": '<path d="M15 1l5 9H10z"/>',
                   diamond: '<path d="M15 1l5 5-5 5-5-5z"/>', "triangle-down": '<path d="M15 11l5-9H10z"/>', cross: '<path d="M13 2h4v2h2v4h-2v2h-4V8h-2V4h2z"/>',
                   x: '<path d="M12 1l3 3 3-3 2 2-3 3 3 3-2 2-3-3-3 3-2-2 3-3-3-3z"/>' };
  place.innerHTML = `<svg viewBox="0 0 30 12" aria-hidden="true" style="fill:${colour}"><path d="M0 6h30" style="stroke:${colour};stroke-width:2"/>${shapes[curve.symbol]}</svg> `;
  return place;
}

function listCurves() {
  const place = document.getElementById("curves");
  for (const curve of data.curves) {
    const on = curve.index < MANY || data.curves.length <= MANY;
    if (on) state.on.add(curve.index);
    const box = element("input", { type: "checkbox", name: "curve", value: String(curve.index), checked: on });
    place.append(element("label", { title: curve.label }, box, " ", swatch(curve), curve.short));
  }
}

function onChange(event) {
  const { name, value, type, checked } = event.target;
  if (name === "curve") checked ? state.on.add(Number(value)) : state.on.delete(Number(value));
  else state[name] = type === "checkbox" ? checked : value;
  drawAll();
}

function onAll(event) {
  const on = Boolean(event.currentTarget.dataset.all);
  state.on = new Set(on ? data.curves.map((curve) => curve.index) : []);
  for (const box of document.querySelectorAll("input[name=curve]")) box.checked = on;
  drawAll();
}

function linkRuns() {
  const byLabel = new Map(data.curves.map((curve) => [curve.label, curve]));
  for (const cell of document.querySelectorAll("td.runs")) {
    const curve = byLabel.get(cell.dataset.curve);
    // A label may be shown otherwise than it is written: a table without links is no reason to draw nothing.
    for (const i of curve?.places.get(Number(cell.dataset.n)) ?? []) cell.append(runLink(curve.points.run[i], curve.points.run[i].slice(0, 8)), " ");
  }
}

const key = (row, place) => {
  const cell = row.cells[place];
  return cell.dataset.sort === undefined ? cell.textContent : Number(cell.dataset.sort);
};
// Numbers before texts, so that what is not known stays at one end.
const compare = (a, b) => (typeof a === typeof b ? (typeof a === "number" ? a - b : a.localeCompare(b)) : typeof a === "number" ? -1 : 1);

function sortBy(heading) {
  const table = heading.closest("table"), place = heading.cellIndex, body = table.tBodies[0];
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...body.rows].map((row) => [key(row, place), row]);
  rows.sort(([a], [b]) => (down ? compare(b, a) : compare(a, b)));
  body.append(...rows.map(([, row]) => row));
}

listCurves();
linkRuns();
for (const form of document.querySelectorAll("form")) {
  form.hidden = false;
  form.addEventListener("change", onChange);
  form.addEventListener("submit", (event) => event.preventDefault());
}
for (const button of document.querySelectorAll("button[data-all]")) button.addEventListener("click", onAll);
for (const button of document.querySelectorAll("table.sortable th button")) button.addEventListener("click", () => sortBy(button.parentElement));
if (!data.curves.some((curve) => curve.seconds.some((value) => value !== null))) document.querySelector("input[name=over]").closest("fieldset").hidden = true;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
matchMedia("print").addEventListener("change", drawAll);
drawAll();
document.documentElement.dataset.drawn = "yes";
