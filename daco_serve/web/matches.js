// The list of matches under the comparison.

import { breakable, find, resized } from "./elements.js";
import { showImage } from "./server.js";
import { coordinates, distance, facing, metres } from "./words.js";

/** Lists the matches of an answer; `pick(rank)` is called for the one that is to be compared. */
export function listMatches({ matches, best, location }, pick) {
  find("list").replaceChildren(...matches.map((match) => item(match, best, location, pick)));
}

/** Marks the match that is being compared. */
export function markCompared(rank) {
  for (const button of find("list").querySelectorAll("button")) button.ariaPressed = Number(button.dataset.rank) === rank;
}

function item(match, best, location, pick) {
  const element = find("match").content.firstElementChild.cloneNode(true);
  const part = (selector) => element.querySelector(selector);
  showImage(part("img"), resized(match.image, 480));
  part("button").dataset.rank = match.rank;
  part(".rank").textContent = match.rank;
  part(".name").append(...breakable(match.place));
  part("meter").value = Math.max(0, match.similarity);
  part(".similarity").textContent = `similarity ${match.similarity.toFixed(3)}`;
  part(".hint").textContent = whereabouts(match, location);
  part(".answer-mark").hidden = match.rank !== best?.rank;
  part("button").addEventListener("click", () => pick(match.rank));
  return element;
}

function whereabouts(match, location) {
  const position = coordinates(match);
  if (!position) return "position not known";
  const length = location ? distance(match, location) : null;
  const away = length === null ? position : `${metres(length)} away`;
  return [away, facing(match.heading)].filter(Boolean).join(", ");
}

// the arrow keys walk through the matches, as they do through the options of a list
find("list").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const buttons = [...find("list").querySelectorAll("button")];
  const next = buttons[buttons.indexOf(document.activeElement) + step];
  if (!step || !next) return;
  event.preventDefault();
  next.focus();
  next.click();
});
