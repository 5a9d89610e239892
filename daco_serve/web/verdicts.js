// An answer in words: one of four states, each with its own colour, mark and sentences.

import { facing, metres, percent } from "./words.js";

const SURE = 0.9; // probability of being right from which on the page says "located"
const SOURCES = {
  self: " The probability comes from the build, which asked the map with degraded copies of its own photographs: real queries may do worse.",
  prior: " The probability comes with the encoder and was not measured on this map.",
};

/** state (located, probably, closest or absent), overline, headline, explanation, and a summary in one line. */
export function judge(answer) {
  const { place, verdict, index, on_map: onMap, location } = answer;
  if (verdict === "not_on_map") {
    const explanation = `None of the ${index.count.toLocaleString()} photographs is likely to show this place (chance: ${percent(onMap)}). What comes closest is below.`;
    return { state: "absent", overline: "No match", headline: "Not on this map", explanation, summary: "not on this map" };
  }
  if (place === null) {
    return { state: "absent", overline: "No match", headline: "Nothing to compare with", explanation: "This map holds no photographs.", summary: "no match" };
  }
  const named = location ? place : `Looks like ${place}`;
  const explanation = explain(answer);
  if (verdict === "uncalibrated") {
    const headline = `Closest match: ${place}`;
    return { state: "closest", overline: "Not calibrated", headline, explanation, summary: `closest match, not calibrated: ${place}` };
  }
  const [state, overline] = surety(answer);
  return { state, overline, headline: named, explanation, summary: `${overline.toLowerCase()}: ${place}` };
}

function surety({ probability, location }) {
  if (probability >= SURE) return ["located", location ? "Located" : "Recognised"];
  return ["probably", `${probability >= 0.5 ? "Probably" : "Perhaps"} ${location ? "here" : "this place"}`];
}

function explain(answer) {
  const { location, verdict, index } = answer;
  const sentences = [agreement(answer)];
  if (location) {
    const sure = location.calibrated ? " (68 of 100 such answers are)" : ", by how far the matches lie apart";
    const way = facing(location.heading);
    sentences.push(`Give or take ${metres(location.uncertainty_metres)}${sure}${way ? `, ${way}` : ""}.`);
  } else {
    sentences.push("Its position is not known.");
  }
  if (verdict === "uncalibrated") {
    sentences.push("It is the most similar place of this map, but it may be wrong: how often such answers are right has not been measured here (daco-bench calibrate).");
  }
  return sentences.join(" ") + (SOURCES[index.calibrated] ?? "");
}

/** Why this place, which may not be that of the first match. */
function agreement({ support, considered, best, location }) {
  if (considered < 2) return "It is the only match.";
  if (support === 1 && best.rank === 1) return `It is match 1; no other of the ${considered} best shows this place.`;
  const verb = location ? (support === 1 ? "lies here" : "lie here") : (support === 1 ? "shows it" : "show it");
  const some = `${support} of the ${considered} best matches ${verb}`;
  return best.rank === 1 ? `${some}.` : `${some}, the best of them as match ${best.rank}; match 1 is more similar, but shows another place.`;
}

/** The matches of an answer, and the one it rests on if that is not among those asked for. */
export function shownMatches({ matches, best }) {
  return best && !matches.some(({ rank }) => rank === best.rank) ? [...matches, best] : matches;
}
