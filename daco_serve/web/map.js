// A small map without a background: matches and location seen from above, north up, in metres.

const EARTH_RADIUS = 6371008.8;
const WIDTH = 400;
const HEIGHT = 300;
const MARGIN = 34;
const SHOWN_RADIUS = 500; // matches farther off than this and than twice the uncertainty do not shrink the map
const RAD = Math.PI / 180;

/** Draws into an svg element of 400 by 300; returns the sentence that goes below it. */
export function drawMap(svg, matches, location) {
  const local = ({ latitude, longitude }) => ({
    x: ((((longitude - location.longitude + 540) % 360) - 180) * RAD) * Math.cos(location.latitude * RAD) * EARTH_RADIUS,
    y: -(latitude - location.latitude) * RAD * EARTH_RADIUS,
  });
  const points = matches
    .filter((match) => match.latitude !== null)
    .map((match) => ({ ...local(match), rank: match.rank, place: match.place, heading: match.heading }));
  const limit = Math.max(SHOWN_RADIUS, 2 * location.uncertainty_metres);
  const near = points.filter(({ x, y }) => Math.hypot(x, y) <= limit);
  const reach = (side) => Math.max(location.uncertainty_metres, ...near.map((point) => Math.abs(point[side])));
  const scale = Math.min((WIDTH / 2 - MARGIN) / reach("x"), (HEIGHT / 2 - MARGIN) / reach("y"));
  const at = ({ x, y }) => [WIDTH / 2 + x * scale, HEIGHT / 2 + y * scale];

  svg.replaceChildren(
    element("circle", { class: "radius", cx: WIDTH / 2, cy: HEIGHT / 2, r: location.uncertainty_metres * scale }),
    ...near.toReversed().flatMap((point) => dot(point, ...at(point))),
    ...labels(near.map((point) => ({ text: String(point.rank), at: at(point) }))),
    element("path", { class: "here", d: `M${WIDTH / 2 - 7} ${HEIGHT / 2}h14m-7 -7v14` }),
    ...ruler(scale),
    element("text", { class: "faint", x: WIDTH - 24, y: 20 }, "N ↑"),
  );
  const away = points.length - near.length;
  return away ? `Not shown: ${away === 1 ? "one match" : `${away} matches`} farther away.` : "";
}

function dot({ heading, rank, place }, x, y) {
  const mark = element("circle", { class: "match", cx: x, cy: y, r: rank === 1 ? 7 : 5 });
  mark.append(element("title", {}, `${rank}. ${place}`));
  if (heading === null) return [mark];
  const [east, south] = [Math.sin(heading * RAD), -Math.cos(heading * RAD)];
  const line = element("line", { class: "heading", x1: x, y1: y, x2: x + 14 * east, y2: y + 14 * south });
  return [line, mark];
}

/** Numbers beside the dots; of dots that lie together only the first, the best match, gets its number. */
function labels(wanted) {
  const placed = [];
  for (const label of wanted) {
    const free = placed.every(({ at }) => Math.hypot(at[0] - label.at[0], at[1] - label.at[1]) > 16);
    if (free) placed.push(label);
  }
  return placed.map(({ text, at }) => element("text", { x: at[0] + 9, y: at[1] - 7 }, text));
}

function ruler(scale) {
  const target = 90 / scale;
  const power = 10 ** Math.floor(Math.log10(target));
  const length = [5, 2, 1].find((step) => step * power <= target) * power;
  const text = length < 1000 ? `${length} m` : `${length / 1000} km`;
  return [
    element("path", { class: "ruler", fill: "none", d: `M14 ${HEIGHT - 18}v6h${length * scale}v-6` }),
    element("text", { class: "faint", x: 14, y: HEIGHT - 24 }, text),
  ];
}

function element(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}
