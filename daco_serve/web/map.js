// The map: Leaflet over plain paper, or over tiles where the server names some; references, matches, the estimate.

import { distance, isOnEarth, metres } from "./words.js";

const { L } = globalThis;
const SVG = "http://www.w3.org/2000/svg";
const SHOWN_METRES = 400; // matches farther off than this and than twice the uncertainty do not shrink the map
const CLOSEST_ZOOM = 18;

const Paper = L.GridLayer.extend({
  createTile() {
    return L.DomUtil.create("div", "paper");
  },
});

export class PlaceMap {
  constructor(element, { tiles, attribution }) {
    this.element = element;
    this.map = L.map(element, { zoomSnap: 0.5, attributionControl: Boolean(tiles), minZoom: 2, maxZoom: 21, worldCopyJump: true });
    this.map.setView([0, 0], 2);
    if (tiles) {
      this.map.attributionControl.setPrefix(false);
      const credit = document.createElement("span");
      credit.textContent = attribution;
      L.tileLayer(tiles, { maxZoom: 21, maxNativeZoom: 19, attribution: credit.innerHTML, referrerPolicy: "strict-origin" }).addTo(this.map);
    } else {
      new Paper({ maxZoom: 21 }).addTo(this.map);
    }
    L.control.scale({ imperial: false, maxWidth: 120 }).addTo(this.map);
    this.references = L.layerGroup().addTo(this.map);
    this.found = L.layerGroup().addTo(this.map);
    this.pins = new Map();
    this.dots = L.canvas({ padding: 0.3 });
    this.shown = null;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.showReferences(this.positions ?? []));
    new ResizeObserver(() => this.map.invalidateSize({ pan: false })).observe(element);
  }

  /** Where there are reference photographs: the base that every map of ours has. */
  showReferences(positions) {
    this.positions = positions;
    this.references.clearLayers();
    const color = getComputedStyle(this.element).getPropertyValue("color");
    for (const position of positions) {
      L.circleMarker(position, { renderer: this.dots, radius: 2, stroke: false, fillColor: color, fillOpacity: 0.55, interactive: false }).addTo(this.references);
    }
    if (!this.shown && positions.length) this.fit(positions.map(([latitude, longitude]) => ({ latitude, longitude })), 17);
  }

  /** The matches, the estimate with its radius, and the photograph's own position, each where it is known. */
  show({ matches, location: estimate }, own, pick) {
    const location = isOnEarth(estimate) ? estimate : null;
    this.found.clearLayers();
    this.pins.clear();
    this.shown = { matches, location };
    const located = matches.filter((match) => match.latitude !== null);
    if (location) {
      L.circle(at(location), { radius: location.uncertainty_metres, className: "uncertainty", interactive: false }).addTo(this.found);
    }
    for (const match of located.toReversed()) this.pins.set(match.rank, this.addPin(match, pick));
    if (own) this.addMark(own, "own", "The photograph's own position", 500);
    if (location) {
      this.addMark(location, "here", `Estimated place, give or take ${metres(location.uncertainty_metres)}`, 1000);
    }
    const reach = location && Math.max(SHOWN_METRES, 2 * location.uncertainty_metres);
    const near = location ? located.filter((match) => distance(match, location) <= reach) : located;
    const ring = location ? corners(location) : [];
    this.fit([...near, ...ring, ...(own && (!location || distance(own, location) <= reach) ? [own] : [])], CLOSEST_ZOOM);
    return located.length - near.length;
  }

  clear() {
    this.found.clearLayers();
    this.pins.clear();
    this.shown = null;
    this.showReferences(this.positions ?? []);
  }

  /** Marks the match that is being compared. */
  select(rank) {
    for (const [number, pin] of this.pins) {
      pin.getElement()?.classList.toggle("selected", number === rank);
      pin.setZIndexOffset(number === rank ? 800 : 100 - number);
    }
  }

  addPin(match, pick) {
    const body = document.createElement("span");
    body.className = "pin";
    if (match.heading !== null) body.append(cone(match.heading));
    const number = document.createElement("b");
    number.textContent = match.rank;
    body.append(number);
    const icon = L.divIcon({ html: body, className: "pin-holder", iconSize: [26, 26] });
    const name = `Match ${match.rank}: ${match.place}`;
    const pin = L.marker(at(match), { icon, alt: name, title: name, keyboard: true }).addTo(this.found);
    pin.getElement().setAttribute("aria-label", name);
    // Leaflet lets the keyboard reach a marker, but not press it
    pin.getElement().addEventListener("keydown", (event) => ["Enter", " "].includes(event.key) && pick(match.rank));
    return pin.on("click", () => pick(match.rank));
  }

  addMark(position, kind, name, zIndexOffset) {
    const body = document.createElement("i");
    body.className = `mark-${kind}`;
    const icon = L.divIcon({ html: body, className: "mark-holder", iconSize: [40, 40] });
    L.marker(at(position), { icon, alt: name, title: name, interactive: false, keyboard: false, zIndexOffset }).addTo(this.found);
  }

  fit(points, maxZoom) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (points.length) this.map.fitBounds(points.map(at), { padding: [36, 36], maxZoom, animate: !still && this.shown !== null });
  }
}

const at = ({ latitude, longitude }) => [latitude, longitude];

/** North-east and south-west of the circle of uncertainty. */
function corners({ latitude, longitude, uncertainty_metres: radius }) {
  const north = radius / 111195;
  const east = north / Math.max(0.01, Math.cos((latitude * Math.PI) / 180));
  return [1, -1].map((side) => ({ latitude: latitude + side * north, longitude: longitude + side * east }));
}

/** A wedge that opens towards a heading. */
function cone(heading) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "-40 -40 80 80");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", "M0 0 L-15 -34 A37 37 0 0 1 15 -34 Z");
  path.setAttribute("transform", `rotate(${heading})`);
  svg.append(path);
  return svg;
}
