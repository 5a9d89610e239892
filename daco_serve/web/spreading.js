// Moves overlapping pins apart, each connected with its place by a line.

const { L } = globalThis;
const ROUNDS = 30;

/** Moves markers so that no two are nearer than `gap` pixels, nor to a place that is kept free of them (or null).
 *  The lines to their true places go into a layer. */
export function spread(map, markers, places, lines, gap, free) {
  lines.clearLayers();
  const start = places.map((place) => map.latLngToLayerPoint(place));
  const points = start.map(({ x, y }) => ({ x, y, held: false }));
  if (free) points.push({ ...map.latLngToLayerPoint(free), held: true });
  for (let round = 0; round < ROUNDS; round++) {
    if (!pushApart(points, gap)) break;
  }
  for (const [row, marker] of markers.entries()) {
    const moved = Math.hypot(points[row].x - start[row].x, points[row].y - start[row].y) > 2;
    const position = moved ? map.layerPointToLatLng(points[row]) : L.latLng(places[row]);
    marker.setLatLng(position);
    if (moved) L.polyline([places[row], position], { className: "tether", interactive: false }).addTo(lines);
  }
}

/** One round; false if nothing had to move. */
function pushApart(points, gap) {
  let any = false;
  for (let one = 0; one < points.length; one++) {
    for (let other = one + 1; other < points.length; other++) {
      let [x, y] = [points[other].x - points[one].x, points[other].y - points[one].y];
      const apart = Math.hypot(x, y);
      if (apart >= gap - 0.5) continue;
      any = true;
      // those on one spot go in different directions, always the same ones
      const turn = (2 * Math.PI * (other + one * 0.5)) / points.length;
      if (apart < 0.01) [x, y] = [Math.cos(turn), Math.sin(turn)];
      else [x, y] = [x / apart, y / apart];
      const push = gap - apart;
      const share = points[other].held ? 1 : points[one].held ? 0 : 0.5; // of the way that the first one goes
      points[one].x -= share * push * x;
      points[one].y -= share * push * y;
      points[other].x += (1 - share) * push * x;
      points[other].y += (1 - share) * push * y;
    }
  }
  return any;
}
