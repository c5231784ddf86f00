// Draws the last hour and keeps the overview's numbers and table of teams up to date.
// Without this script the page says the same in its tables, as of the moment it was loaded.

import uPlot from "./uPlot.esm.js";

const EVERY_MS = 10_000;
const HOUR_S = 3600;
const LEAST_S = 600;
const HEIGHT_PX = 180;
// Lines differ by their dashes too, for who cannot tell the colours apart.
const DASHES = [[], [7, 4], [2, 3], [11, 4, 2, 4]];
const COLOURS = 8;

const section = document.getElementById("charts");
const state = document.getElementById("live-state");
const drawn = new Map();
let latest = null;

const COLUMNS = {
  load: (hour, names) => [hour.running, hour.waiting, hour.slots].slice(0, names.length),
  waits: (hour) => [hour.foretold_s, hour.waited_s],
  tokens: (hour) => [hour.prompt_tokens_per_s, hour.output_tokens_per_s],
  refusals: (hour) => [hour.refusals],
  teams: (hour) => Object.values(hour.waiting_by_team),
};

// Refusals are sums, so bars; waits are there only when somebody waited, so points along the line.
const LOOKS = {
  refusals: (style) => ({ paths: uPlot.paths.bars({ size: [0.8, 12] }), fill: style.getPropertyValue("--chart-1").trim() }),
  waits: () => ({ spanGaps: true, points: { show: true, size: 4 } }),
};

function namesOf(figure, hour) {
  return figure.dataset.chart === "teams" ? Object.keys(hour.waiting_by_team) : figure.dataset.series.split("|");
}

function clock(seconds, until) {
  return new Date(seconds * 1000).toISOString().slice(11, until);
}

// A gateway that has just started has less than an hour to show.
function shownSeconds() {
  return Math.min(HOUR_S, Math.max(LEAST_S, latest.hour.ages_s[0] ?? 0));
}

function optionsOf(figure, names) {
  const style = getComputedStyle(figure);
  const grid = { stroke: style.getPropertyValue("--chart-grid").trim(), width: 1 };
  const axis = { stroke: style.color, grid, ticks: grid };
  const looks = LOOKS[figure.dataset.chart]?.(style) ?? {};
  return {
    width: Math.max(240, figure.clientWidth),
    height: HEIGHT_PX,
    cursor: { drag: { x: false, y: false } },
    scales: {
      x: { range: () => [latest.now_s - shownSeconds(), latest.now_s] },
      y: { range: (_chart, _least, most) => [0, Math.max(1, (most ?? 0) * 1.1)] },
    },
    axes: [
      { ...axis, values: (_chart, ticks) => ticks.map((tick) => clock(tick, 16)) },
      { ...axis, size: 56 },
    ],
    series: [
      { label: "UTC", value: (_chart, at) => (at == null ? "–" : clock(at, 19)) },
      ...names.map((label, index) => ({
        label,
        stroke: style.getPropertyValue(`--chart-${(index % COLOURS) + 1}`).trim(),
        dash: DASHES[index % DASHES.length],
        width: 2,
        points: { show: false },
        value: (_chart, value) => (value == null ? "–" : String(Math.round(value * 100) / 100)),
        ...looks,
      })),
    ],
  };
}

function draw(figure) {
  const { hour, now_s: nowS } = latest;
  const names = namesOf(figure, hour);
  const data = [hour.ages_s.map((age) => nowS - age), ...COLUMNS[figure.dataset.chart](hour, names)];
  const known = drawn.get(figure);
  figure.hidden = !names.length; // no team waits: no chart of that
  if (figure.hidden) {
    return;
  }
  if (known && known.names.join("|") === names.join("|")) {
    known.chart.setData(data);
    return;
  }
  known?.chart.destroy();
  known?.place.remove();
  const place = document.createElement("div");
  place.className = "chart";
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", figure.querySelector("figcaption").textContent);
  figure.append(place);
  drawn.set(figure, { chart: new uPlot(optionsOf(figure, names), data, place), place, names });
}

function drawAll() {
  for (const figure of section.querySelectorAll("figure")) {
    draw(figure);
  }
}

function drawAnew() {
  for (const { chart, place } of drawn.values()) {
    chart.destroy();
    place.remove();
  }
  drawn.clear();
  if (latest) {
    drawAll();
  }
}

function cell(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function showTeams(rows) {
  const body = document.getElementById("teams");
  const made = rows.map((texts) => {
    const row = document.createElement("tr");
    const head = cell("th", texts[0]);
    head.scope = "row";
    row.append(head, ...texts.slice(1).map((text) => cell("td", text)));
    return row;
  });
  if (!made.length) {
    const row = document.createElement("tr");
    const none = cell("td", body.dataset.none);
    none.colSpan = 10;
    row.append(none);
    made.push(row);
  }
  body.replaceChildren(...made);
}

function show(found) {
  latest = found;
  section.hidden = false;
  for (const [name, text] of Object.entries(latest.figures)) {
    document.querySelector(`[data-figure="${name}"]`).textContent = text;
  }
  showTeams(latest.teams);
  drawAll();
}

function say(text) {
  if (state.textContent !== text) {
    state.textContent = text; // only changes are read aloud
  }
}

// True while it is worth asking again.
async function refresh() {
  let answer;
  try {
    answer = await fetch(section.dataset.source, { headers: { Accept: "application/json" } });
  } catch {
    say(state.dataset.away);
    return true;
  }
  const isOurs = answer.ok && (answer.headers.get("Content-Type") ?? "").startsWith("application/json");
  if (!isOurs) {
    const isAway = answer.status >= 500;
    say(isAway ? state.dataset.away : state.dataset.over);
    return isAway;
  }
  show(await answer.json());
  say(state.dataset.live);
  return true;
}

async function keepUp() {
  if (document.hidden) {
    say(state.dataset.paused);
    document.addEventListener("visibilitychange", keepUp, { once: true });
    return;
  }
  if (await refresh()) {
    setTimeout(keepUp, EVERY_MS);
  }
}

new ResizeObserver(() => {
  for (const [figure, { chart }] of drawn) {
    chart.setSize({ width: Math.max(240, figure.clientWidth), height: HEIGHT_PX });
  }
}).observe(section);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAnew);
keepUp();
