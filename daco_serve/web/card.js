// The card above the map: the place as text.

import { find, flash } from "./elements.js";
import { badge } from "./verdicts.js";
import { coordinates, distance, metres, isOnEarth, percent } from "./words.js";

/** Writes the card, with the colour and the mark of a state if one is given. */
export function say(overline, verdict, explanation, state = null) {
  if (state) find("where").dataset.verdict = state;
  else delete find("where").dataset.verdict;
  find("overline").replaceChildren(state ? badge({ state, label: overline }) : overline);
  find("verdict").textContent = verdict;
  find("explanation").textContent = explanation;
  for (const part of ["position", "chance", "own", "share-line"]) find(part).hidden = true;
}

/** Shows an answer; `own` is the photograph's EXIF position, `away` the number of matches outside the map. */
export function sayAnswer(answer, judged, own, away, name) {
  const { location, probability } = answer;
  say(judged.label, judged.headline, judged.explanation, judged.state);
  if (away) find("explanation").textContent += ` ${away === 1 ? "One match lies" : `${away} matches lie`} outside the map.`;
  const likely = probability === null ? "" : `${percent(probability)} likely to be right${location ? " within 25 m" : ""}`;
  find("chance").hidden = probability === null;
  find("chance-text").textContent = likely;
  find("chance-meter").value = probability ?? 0;
  if (location) showPosition(location);
  find("own").hidden = !own;
  if (own) {
    const off = isOnEarth(location) ? `, ${metres(distance(own, location))} from the estimate` : "";
    find("own").textContent = `The photograph's own EXIF position: ${coordinates(own)}${off}.`;
  }
  find("share-line").hidden = false;
  // the verdict comes first, for users of a screen reader
  find("spoken").textContent = `${judged.label}: ${judged.headline}. ${likely ? `${likely}. ` : ""}${name}`;
}

function showPosition(location) {
  const { latitude, longitude } = location;
  find("position").hidden = false;
  find("coordinates").textContent = coordinates(location);
  find("open").hidden = find("openstreetmap").hidden = !isOnEarth(location);
  find("open").href = `geo:${latitude},${longitude}?q=${latitude},${longitude}`;
  find("openstreetmap").href = `https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=18/${latitude}/${longitude}`;
}

find("copy").hidden = !navigator.clipboard;
find("copy").addEventListener("click", async ({ target }) => {
  await navigator.clipboard.writeText(find("coordinates").textContent);
  flash(target, "Copied");
});
