// Turns an answer into text: one of four states, each with its own colour, mark and sentences.

import { facing, metres, percent } from "./words.js";

const SURE = 0.9; // smallest probability of being right for "Located"
const SOURCES = {
  prior: " The probability comes with the encoder and was not measured on this map.",
};

/** {state, label, headline, explanation}; state is located, probably, closest or absent, label is its text. */
export function judge(answer) {
  const { place, verdict, index, on_map: onMap } = answer;
  if (verdict === "not_on_map") {
    const headline = `The map “${index.name}” does not show this place`;
    const explanation = `None of its ${index.count.toLocaleString()} photographs is likely to show it (chance: ${percent(onMap)}). The most similar ones are listed, but they show other places.`;
    return { state: "absent", label: "Not on this map", headline, explanation };
  }
  if (place === null) {
    return { state: "absent", label: "No match", headline: "Nothing to compare with", explanation: "This map contains no photographs." };
  }
  const explanation = explain(answer);
  if (verdict === "uncalibrated") return { state: "closest", label: "Closest match, not calibrated", headline: place, explanation };
  const [state, label] = surety(answer);
  return { state, label, headline: place, explanation };
}

/** The mark and the label of a state, as the strip, the card and the map show them; the colours are in answer.css. */
export function badge({ state, label }) {
  const element = document.createElement("span");
  element.className = "badge";
  element.dataset.verdict = state;
  const sign = document.createElement("i");
  sign.className = "sign";
  sign.ariaHidden = true;
  element.append(sign, label);
  return element;
}

function surety({ probability, location }) {
  if (probability >= SURE) return ["located", location ? "Located" : "Recognised"];
  return ["probably", `${probability >= 0.5 ? "Probably" : "Perhaps"} ${location ? "here" : "this place"}`];
}

function explain(answer) {
  const { location, verdict, index } = answer;
  const sentences = [agreement(answer)];
  if (location) {
    const sure = location.calibrated ? " (true of 68 in 100 such answers)" : " (estimated from the spread of the matches)";
    const way = facing(location.heading);
    sentences.push(`Accurate to about ${metres(location.uncertainty_metres)}${sure}${way ? `, ${way}` : ""}.`);
    if (location.floor) sentences.push(`Floor ${location.floor}.`);
  } else {
    sentences.push("Its position is not known.");
  }
  if (verdict === "uncalibrated") {
    sentences.push("It is the most similar place of this map, but it may be wrong: how often such answers are right has not been measured here (daco-bench calibrate).");
  }
  return sentences.join(" ") + (SOURCES[index.calibrated] ?? "");
}

/** Why this place was chosen; it may not be that of the first match. */
function agreement({ support, considered, best, location }) {
  if (considered < 2) return "It is the only match.";
  if (support === 1 && best.rank === 1) return `It is match 1; no other of the ${considered} best shows this place.`;
  const verb = location ? (support === 1 ? "lies here" : "lie here") : (support === 1 ? "shows it" : "show it");
  const some = `${support} of the ${considered} best matches ${verb}`;
  return best.rank === 1 ? `${some}.` : `${some}, the best of them as match ${best.rank}; match 1 is more similar, but shows another place.`;
}

/** The matches of an answer, and its best match if that is not among those requested. */
export function shownMatches({ matches, best }) {
  return best && !matches.some(({ rank }) => rank === best.rank) ? [...matches, best] : matches;
}
