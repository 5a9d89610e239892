// An answer in the fragment of a link: its numbers, without the photograph. A fragment is not sent to any server.

const PREFIX = "#answer=";
const MATCH = ["rank", "id", "place", "similarity", "votes", "latitude", "longitude", "heading", "local"];
const LOCATION = ["latitude", "longitude", "heading", "local", "floor", "uncertainty_metres", "calibrated"];
const ANSWER = ["verdict", "on_map", "place", "probability", "support", "considered"];
const INDEX = ["name", "count", "generation", "calibrated"];
const VERDICTS = new Set(["located", "no_position", "uncalibrated", "not_on_map"]);

/** The address that opens the page with this answer. */
export function linkTo(answer, matches) {
  const kept = {
    ...pick(answer, ANSWER),
    best: answer.best && pick(answer.best, MATCH),
    location: answer.location && pick(answer.location, LOCATION),
    matches: matches.map((match) => pick(match, MATCH)),
    index: pick(answer.index, INDEX),
  };
  const bytes = new TextEncoder().encode(JSON.stringify(kept));
  const text = btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return `${location.origin}${location.pathname}${PREFIX}${text}`;
}

/** The answer in an address; null if there is none or it is malformed. */
export function answerIn(fragment) {
  if (!fragment.startsWith(PREFIX)) return null;
  try {
    const bytes = atob(fragment.slice(PREFIX.length).replaceAll("-", "+").replaceAll("_", "/"));
    return checked(JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (letter) => letter.charCodeAt(0)))));
  } catch {
    return null;
  }
}

/** Checks the type of each value, because links come from anyone. Throws if one is wrong. */
function checked(given) {
  if (!VERDICTS.has(given.verdict)) throw new TypeError("verdict");
  const index = {
    name: text(given.index.name),
    count: number(given.index.count),
    generation: number(given.index.generation),
    calibrated: optional(text, given.index.calibrated),
  };
  const match = (one) => ({
    rank: number(one.rank),
    id: number(one.id),
    place: text(one.place),
    similarity: number(one.similarity),
    votes: optional(number, one.votes),
    ...position(one),
    cells: null,
    image: `/v1/references/${number(one.id)}/image?index=${encodeURIComponent(index.name)}`,
  });
  const found = given.location && {
    ...position(given.location),
    uncertainty_metres: number(given.location.uncertainty_metres),
    calibrated: given.location.calibrated === true,
    floor: optional(text, given.location.floor),
  };
  if (found && found.latitude === null && !found.local) throw new TypeError("location");
  return {
    verdict: given.verdict,
    on_map: optional(number, given.on_map),
    place: optional(text, given.place),
    probability: optional(number, given.probability),
    support: number(given.support),
    considered: number(given.considered),
    best: given.best && match(given.best),
    location: found,
    matches: given.matches.map(match),
    index,
  };
}

function position({ latitude, longitude, heading, local }) {
  const known = {
    heading: optional(number, heading),
    local: optional((one) => ({ frame: text(one.frame), x: number(one.x), y: number(one.y) }), local),
  };
  if (latitude === null || longitude === null) return { latitude: null, longitude: null, ...known };
  if (Math.abs(number(latitude)) > 90 || Math.abs(number(longitude)) > 180) throw new RangeError("position");
  return { latitude, longitude, ...known };
}

const optional = (kind, value) => (value === null || value === undefined ? null : kind(value));

function number(value) {
  if (!Number.isFinite(value)) throw new TypeError("number");
  return value;
}

function text(value) {
  if (typeof value !== "string") throw new TypeError("text");
  return value;
}

const pick = (from, names) => Object.fromEntries(names.map((name) => [name, from[name] ?? null]));
