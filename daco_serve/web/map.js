// The map: the references' dots, the matches of an answer, the estimate, and the estimates of the other photographs.

import { addBase } from "./basemap.js";
import { References } from "./browsing.js";
import { spread } from "./spreading.js";
import { badge } from "./verdicts.js";
import { distance, metres, isOnEarth } from "./words.js";

const { L } = globalThis;
const SVG = "http://www.w3.org/2000/svg";
const SHOWN_METRES = 400; // matches farther off than this and than twice the uncertainty do not shrink the map
const CLOSEST_ZOOM = 18;
const GAP = 30; // pixels between two pins

export class PlaceMap {
  constructor(element, settings) {
    const credited = Boolean(settings.attribution);
    this.map = L.map(element, { zoomSnap: 0.5, attributionControl: credited, minZoom: 2, maxZoom: 21, worldCopyJump: true });
    this.map.setView([0, 0], 2);
    this.legend = document.getElementById("legend");
    this.references = new References(this.map);
    this.coverage = { positions: [], ids: [], name: "" };
    this.others = L.layerGroup().addTo(this.map);
    this.tethers = L.layerGroup().addTo(this.map);
    this.found = L.layerGroup().addTo(this.map);
    this.pins = new Map();
    this.numbers = []; // the estimates of the other photographs: {marker, place}
    this.shown = null;
    L.control.scale({ imperial: false, maxWidth: 120 }).addTo(this.map);
    this.map.on("zoomend", () => this.spreadPins());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawReferences());
    new ResizeObserver(() => this.map.invalidateSize({ pan: false })).observe(element);
    this.explain();
    this.ready = addBase(this.map, settings);
  }

  /** Shows where there are reference photographs. */
  showReferences({ positions, ids }, name) {
    this.coverage = { positions, ids, name };
    this.drawReferences();
    if (!this.shown) this.fitReferences();
  }

  drawReferences() {
    this.references.draw(this.coverage, this.coverage.name);
    this.explain();
  }

  fitReferences() {
    this.fit(this.coverage.positions.map(([latitude, longitude]) => ({ latitude, longitude })), 17);
  }

  /** The matches, the estimate with its radius, and the photograph's own position, if they are known.
   *  Returns the number of matches that lie outside the shown area. */
  show(answer, judged, own, pick) {
    const { matches } = answer;
    const location = isOnEarth(answer.location) ? answer.location : null;
    this.empty();
    this.shown = { location, own };
    const located = matches.filter(isOnEarth);
    if (location) {
      L.circle(at(location), { radius: location.uncertainty_metres, className: "uncertainty", interactive: false }).addTo(this.found);
    }
    for (const match of located.toReversed()) this.pins.set(match.rank, { marker: this.addPin(match, pick), place: at(match) });
    if (own) this.addMark(own, "own", "The photograph's own position", 500);
    if (location) {
      this.addMark(location, "here", `Estimated place, accurate to about ${metres(location.uncertainty_metres)}`, 1000, judged);
    }
    const reach = location && Math.max(SHOWN_METRES, 2 * location.uncertainty_metres);
    const near = location ? located.filter((match) => distance(match, location) <= reach) : located;
    const ring = location ? corners(location) : [];
    this.fit([...near, ...ring, ...(own && (!location || distance(own, location) <= reach) ? [own] : [])], CLOSEST_ZOOM);
    this.spreadPins();
    this.explain();
    return located.length - near.length;
  }

  /** The estimates of all photographs but the one that is shown, as one layer: {number, name, location, judged, pick}. */
  showOthers(answers) {
    this.others.clearLayers();
    this.numbers = answers.map(({ number, name, location, judged, pick }) => {
      const body = document.createElement("b");
      body.className = "other";
      body.dataset.verdict = judged.state;
      body.textContent = number;
      const title = `Photograph ${number}, ${name}: ${judged.label}`;
      return { marker: this.addButton(body, title, location, pick, this.others), place: at(location) };
    });
    this.spreadPins();
    this.explain();
  }

  clear() {
    this.empty();
    this.fitReferences();
    this.explain();
  }

  empty() {
    this.found.clearLayers();
    this.tethers.clearLayers();
    this.pins.clear();
    this.shown = null;
  }

  /** Marks the match that is being compared. */
  select(rank) {
    for (const [number, { marker }] of this.pins) {
      marker.getElement()?.classList.toggle("selected", number === rank);
      marker.setZIndexOffset(number === rank ? 800 : 100 - number);
    }
  }

  /** Shows in the legend only the marks that are on the map. */
  explain() {
    const there = {
      here: Boolean(this.shown?.location),
      own: Boolean(this.shown?.own),
      match: this.pins.size > 0,
      others: this.numbers.length > 0,
      reference: this.coverage.positions.length > 0,
    };
    for (const line of this.legend.children) {
      if (line.dataset.key in there) line.hidden = !there[line.dataset.key];
    }
    this.legend.hidden = !Object.values(there).some(Boolean);
  }

  spreadPins() {
    const all = [...this.pins.values(), ...this.numbers];
    const free = this.shown?.location ? at(this.shown.location) : null;
    spread(this.map, all.map(({ marker }) => marker), all.map(({ place }) => place), this.tethers, GAP, free);
  }

  addPin(match, pick) {
    const body = document.createElement("span");
    body.className = "pin";
    if (match.heading !== null) body.append(cone(match.heading));
    const number = document.createElement("b");
    number.textContent = match.rank;
    body.append(number);
    return this.addButton(body, `Match ${match.rank}: ${match.place}`, match, () => pick(match.rank), this.found);
  }

  addButton(body, name, position, pick, layer) {
    const icon = L.divIcon({ html: body, className: "pin-holder", iconSize: [26, 26] });
    const marker = L.marker(at(position), { icon, alt: name, title: name, keyboard: true }).addTo(layer);
    marker.getElement().setAttribute("aria-label", name);
    // Leaflet lets the keyboard reach a marker, but not press it
    marker.getElement().addEventListener("keydown", (event) => ["Enter", " "].includes(event.key) && pick());
    return marker.on("click", pick);
  }

  addMark(position, kind, name, zIndexOffset, judged = null) {
    const body = document.createElement("span");
    body.className = "mark-body";
    const ring = document.createElement("i");
    ring.className = `mark-${kind}`;
    body.append(ring);
    if (judged) {
      body.dataset.verdict = judged.state;
      body.append(badge(judged));
    }
    const icon = L.divIcon({ html: body, className: "mark-holder", iconSize: [40, 40] });
    L.marker(at(position), { icon, alt: name, title: name, interactive: false, keyboard: false, zIndexOffset }).addTo(this.found);
  }

  fit(points, maxZoom) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (points.length) this.map.fitBounds(points.map(at), { padding: [68, 44], maxZoom, animate: !still && this.shown !== null });
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
