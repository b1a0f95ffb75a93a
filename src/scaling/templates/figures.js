"use strict";
// The figures: data in, plotly's traces and layouts out. What is shown is in `state`; nothing here listens.
const data = JSON.parse(document.getElementById("data").textContent);
const state = { axis: "log", show: "value", over: "n", seeds: true, interval: true, forecast: true,
                size: "parameters", quantity: "exponent", on: new Set() };

// Plotly reads a few tags in its texts: names must not write any.
const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const round = (value) => (value === null ? null : Number(value.toFixed(12)));
const mean = (values) => (values.some((value) => value === null) ? null
  : values.reduce((sum, value) => sum + value, 0) / values.length);
const percent = (value, sign) => (value === null ? "–" : (sign && value >= 0 ? "+" : "") + value.toFixed(4));
// A metric that falls as models get better is an error itself: `best` is null, and there is nothing to turn over.
const best = data.metric.best;
const asError = () => state.show === "error" && best !== null;
const fromValue = (value) => (value === null ? null : round(asError() ? best - value : value));
const fromError = (error) => (error === null ? null : round(best !== null && state.show !== "error" ? best - error : error));
const yTitle = () => (asError() ? data.metric.error : data.metric.title);

function faded(colour, opacity) {
  const part = (start) => parseInt(colour.slice(start, start + 2), 16);
  return `rgba(${part(1)},${part(3)},${part(5)},${opacity})`;
}

// Black lines vanish on dark paper.
const ink = (colour, theme) => (colour === "#000000" ? theme.ink : colour);

function theme() {
  const style = getComputedStyle(document.documentElement);
  const hex = (name) => style.getPropertyValue(name).trim();
  return { ink: hex("--ink"), soft: hex("--soft"), line: hex("--line"), paper: hex("--paper") };
}

// One entry an n: positions of its points in the columns.
function sizesOf(curve) {
  const places = new Map(curve.n.map((n) => [n, []]));
  curve.points.n.forEach((n, i) => places.get(n).push(i));
  return places;
}
data.curves.forEach((curve, index) => { curve.index = index; curve.places = sizesOf(curve); });

const means = (curve, name) => curve.n.map((n) => mean(curve.places.get(n).map((i) => curve.points[name][i])));
const xs = (curve) => (state.over === "seconds" ? curve.seconds : curve.n);
const visible = (dataset) => data.curves.filter((curve) => state.on.has(curve.index) && (!dataset || curve.dataset === dataset));

function meanTrace(curve, y, look, shown) {
  const hover = curve.n.map((n, i) => `<b>${escaped(curve.label)}</b><br>n = ${n}, mean of ${curve.places.get(n).length}`
    + `<br>${shown} ${percent(y[i], false)}`);
  return { type: "scatter", mode: "lines+markers", x: xs(curve), y, name: escaped(curve.short), hovertext: hover, hoverinfo: "text",
           customdata: curve.n.map((n) => [curve.index, n, null]), connectgaps: false,
           line: { color: ink(curve.colour, look), width: 2 }, marker: { symbol: curve.symbol, size: 8, color: ink(curve.colour, look) } };
}

function seedTrace(curve, y, look, shown) {
  const { n, seed, run } = curve.points;
  const hover = n.map((size, i) => `<b>${escaped(curve.label)}</b><br>n = ${size}, seed ${seed[i]}<br>${shown} ${percent(y[i], false)}`
    + `<br>run ${escaped(run[i])}`);
  return { type: "scatter", mode: "markers", x: n, y, hovertext: hover, hoverinfo: "text", customdata: n.map((size, i) => [curve.index, size, i]),
           marker: { symbol: curve.symbol + "-open", size: 6, color: ink(curve.colour, look), opacity: 0.75 }, name: "seeds", meta: "seeds" };
}

// Bars reach from the mean to the mean bounds of the runs' intervals; they turn over when errors are shown.
function bars(curve, y, look) {
  const bounds = ["low", "high"].map((name) => means(curve, name).map(fromValue));
  const reach = (side) => bounds[side].map((bound, i) => (bound === null || y[i] === null ? 0 : Math.abs(bound - y[i])));
  const [down, up] = asError() ? [1, 0] : [0, 1];
  return { type: "data", symmetric: false, array: reach(up), arrayminus: reach(down), thickness: 1.2, width: 3, color: ink(curve.colour, look) };
}

function bandTrace(curve, forecast, level, opacity, look) {
  const low = forecast["low" + level].map(fromError), high = forecast["high" + level].map(fromError);
  return { type: "scatter", mode: "none", x: [...forecast.n, ...[...forecast.n].reverse()], y: [...low, ...[...high].reverse()],
           fill: "toself", fillcolor: faded(ink(curve.colour, look), opacity), hoverinfo: "skip", meta: "band" };
}

function forecastTraces(curve, forecast, look, bands) {
  const y = forecast.error.map(fromError);
  const hover = forecast.n.map((n, i) => `<b>${escaped(curve.label)}</b><br>forecast at n = ${Math.round(n)}: ${percent(y[i], false)}<br>90 %: `
    + [forecast.low90[i], forecast.high90[i]].map(fromError).sort((a, b) => a - b).map((v) => percent(v, false)).join(" to "));
  const line = { type: "scatter", mode: "lines", x: forecast.n, y, hovertext: hover, hoverinfo: "text", meta: "forecast",
                 line: { color: ink(curve.colour, look), width: 1.5, dash: "dash" } };
  return bands ? [bandTrace(curve, forecast, 90, 0.1, look), bandTrace(curve, forecast, 50, 0.16, look), line] : [line];
}

function caution(curves) {
  const found = curves.filter((curve) => curve.forecast && curve.caution !== null);
  if (!found.length || !state.forecast || state.over !== "n") return null;
  return [Math.min(...found.map((curve) => curve.caution)), Math.max(...found.map((curve) => curve.forecast.n.at(-1)))];
}

// 1, 2 and 5 of each decade, written out; only the decades where that were too many.
function ticks(traces) {
  const values = traces.flatMap((trace) => trace.x).filter((value) => value > 0);
  if (state.axis !== "log" || !values.length) return {};
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const found = (steps) => {
    const made = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
      for (const step of steps) if (step * 10 ** power >= low / 1.3 && step * 10 ** power <= high * 1.3) made.push(step * 10 ** power);
    return made;
  };
  const [fine, middle] = [found([1, 2, 5]), found([1, 3])];
  const tickvals = fine.length <= 8 ? fine : middle.length <= 9 ? middle : found([1]);
  return { tickvals, ticktext: tickvals.map(short) };
}

const UNITS = [[1e12, "T"], [1e9, "G"], [1e6, "M"]];
function short(value) {
  const unit = UNITS.find(([size]) => value >= size);
  if (unit) return `${Number((value / unit[0]).toPrecision(3))} ${unit[1]}`;
  return value >= 1 ? String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u2009") : String(Number(value.toPrecision(3)));
}

function layout(look, traces, x, y, range, zero) {
  const title = (text) => ({ text, font: { size: 13 }, standoff: 8 });
  const axis = { gridcolor: look.line, linecolor: look.line, zeroline: false, automargin: true, tickfont: { size: 12 } };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: look.ink, size: 12 }, showlegend: false, autosize: true,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: look.soft, activecolor: look.ink },
    margin: { l: 40, r: 12, t: 28, b: 40 }, hovermode: "closest", hoverlabel: { align: "left" }, dragmode: false,
    xaxis: { ...axis, type: state.axis, title: title(x), ...ticks(traces) },
    yaxis: { ...axis, title: title(y) },
    shapes: [
      ...(range ? [{ type: "rect", xref: "x", yref: "paper", x0: range[0], x1: range[1], y0: 0, y1: 1, fillcolor: faded("#888888", 0.16), line: { width: 0 }, layer: "below" }] : []),
      ...(zero ? [{ type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: 0, y1: 0, line: { color: look.soft, width: 1 }, layer: "below" }] : []),
    ],
  };
}

const xTitle = () => (state.over === "seconds" ? "seconds to fit and predict (mean)" : "n training samples");

const drawings = {
  scaling(dataset, look) {
    const curves = visible(dataset), traces = [], bands = curves.length <= 4;
    for (const curve of curves) {
      const y = means(curve, "test").map(fromValue), line = meanTrace(curve, y, look, `test ${yTitle()}`);
      if (state.interval) line.error_y = bars(curve, y, look);
      if (state.over === "n" && state.forecast && curve.forecast) traces.push(...forecastTraces(curve, curve.forecast, look, bands));
      if (state.over === "n" && state.seeds) traces.push(seedTrace(curve, curve.points.test.map(fromValue), look, `test ${yTitle()}`));
      traces.push({ ...line, meta: "mean" });
    }
    return [traces, layout(look, traces, xTitle(), `test ${yTitle()}`, caution(curves), false)];
  },
  upgradeability(dataset, look) {
    const traces = [];
    for (const curve of visible(dataset)) {
      const gaps = curve.points.test.map((value, i) => (value === null || curve.points.train[i] === null ? null : round(value - curve.points.train[i])));
      const y = curve.n.map((n) => round(mean(curve.places.get(n).map((i) => gaps[i]))));
      const line = { ...meanTrace(curve, y, look, "upgradeability"), meta: "mean" };
      const reach = (bounds, sign) => bounds.map((bound, i) => (bound === null ? 0 : Math.max(0, sign * (bound - y[i]))));
      if (state.interval) line.error_y = { type: "data", symmetric: false, array: reach(curve.gap.high, 1), arrayminus: reach(curve.gap.low, -1),
                                           thickness: 1.2, width: 3, color: ink(curve.colour, look) };
      if (state.over === "n" && state.seeds) traces.push(seedTrace(curve, gaps, look, "upgradeability"));
      traces.push(line);
    }
    return [traces, layout(look, traces, xTitle(), `test ${data.metric.title} − train ${data.metric.title}`, null, true)];
  },
  train_and_test(dataset, look) {
    const curves = visible(dataset), traces = [];
    for (const curve of curves) {
      if (state.over === "n" && state.forecast)
        for (const ahead of [curve.forecast, curve.train_forecast]) if (ahead) traces.push(...forecastTraces(curve, ahead, look, false));
      const test = meanTrace(curve, means(curve, "test").map(fromValue), look, `test ${yTitle()}`);
      const train = meanTrace(curve, means(curve, "train").map(fromValue), look, `train ${yTitle()}`);
      train.line = { ...train.line, dash: "dot" };
      train.marker = { ...train.marker, symbol: curve.symbol + "-open" };
      traces.push({ ...train, meta: "train" }, { ...test, meta: "mean" });
    }
    return [traces, layout(look, traces, xTitle(), `${yTitle()}: test solid, train dotted`, caution(curves), false)];
  },
  pretraining(dataset, look) {
    const traces = data.pretraining.map((pair) => [pair, data.curves.find((curve) => curve.id === pair.curve)])
      .filter(([, curve]) => curve && state.on.has(curve.index)).map(([pair, curve]) => ({
        type: "scatter", mode: "lines+markers", x: pair.n, y: pair.gain, hoverinfo: "text", meta: "mean",
        hovertext: pair.n.map((n, i) => `<b>${escaped(curve.label)}</b><br>n = ${n}<br>gain ${percent(pair.gain[i], true)}`
          + ` (${percent(pair.low[i], true)} to ${percent(pair.high[i], true)})`),
        error_y: { type: "data", symmetric: false, array: pair.high.map((v, i) => (v === null ? 0 : v - pair.gain[i])),
                   arrayminus: pair.low.map((v, i) => (v === null ? 0 : pair.gain[i] - v)), thickness: 1.2, width: 3 },
        line: { color: ink(curve.colour, look), width: 2 }, marker: { symbol: curve.symbol, size: 8 } }));
    return [traces, layout(look, traces, "n training samples", `gain in test ${data.metric.title}`, null, true)];
  },
  complexity(dataset, look) {
    const traces = data.sizes.filter((row) => row[state.size] !== null && row[state.quantity] !== null).map((row) => {
      const curve = data.curves.find((entry) => entry.id === row.curve), value = row[state.quantity];
      const [low, high] = (row.bounds[state.quantity] ?? []).map((bound) => (bound === null ? 0 : Math.abs(bound - value)));
      return { type: "scatter", mode: "markers+text", error_y: { type: "data", symmetric: false, array: [high ?? 0], arrayminus: [low ?? 0], thickness: 1.2, width: 3 }, x: [row[state.size]], y: [row[state.quantity]], text: [escaped(row.model)], cliponaxis: false,
               textposition: "top center", hovertext: [`<b>${escaped(curve.label)}</b><br>${row[state.size].toPrecision(3)}: ${row[state.quantity].toPrecision(3)}`],
               hoverinfo: "text", marker: { symbol: curve.symbol, size: 11, color: ink(curve.colour, look) }, meta: "size" };
    });
    const shown = layout(look, traces, state.size, state.quantity, null, false);
    if (traces.some((trace) => trace.x[0] <= 0)) shown.xaxis.type = "linear"; // a model without weights has no parameters
    return [traces, shown];
  },
};
