// The page: takes photographs, looks up each with /v1/query, and shows one of the answers.

import { say, sayAnswer } from "./card.js";
import { showTheirs, showYours, startComparison } from "./comparison.js";
import { find, flash } from "./elements.js";
import { readPosition } from "./exif.js";
import { Follower } from "./follow.js";
import { askForKey } from "./key.js";
import { PlaceMap } from "./map.js";
import { listMatches, markCompared } from "./matches.js";
import { sendAccepted } from "./photographs.js";
import { advice } from "./refusals.js";
import { offerSamples } from "./samples.js";
import { Refused, ask } from "./server.js";
import { answerIn, linkTo } from "./sharing.js";
import { badge, judge, shownMatches } from "./verdicts.js";
import { isOnEarth } from "./words.js";

const AT_ONCE = 2; // photographs that are looked up concurrently
const WIDE = matchMedia("(min-width: 720px)");

const photographs = [];
let shown = null; // the photograph whose answer is on the page
let settings = {};
let indexes = [];
let map = null;

// ---- photographs in ----------------------------------------------------------------------------------------------

function add(files) {
  const fresh = [...files].map((file) => ({ file, name: file.name, address: URL.createObjectURL(file), state: "waiting", rank: 1 }));
  if (!fresh.length) return;
  follower.forget();
  keep(fresh);
  show(fresh[0]);
  lookUpNext();
}

function keep(fresh) {
  photographs.push(...fresh);
  find("main").classList.add("busy");
  for (const photograph of fresh) addFrame(photograph);
}

function lookUpNext() {
  const busy = photographs.filter(({ state }) => state === "asking").length;
  const next = photographs.filter(({ state }) => state === "waiting").slice(0, Math.max(0, AT_ONCE - busy));
  for (const photograph of next) lookUp(photograph).finally(lookUpNext);
}

async function lookUp(photograph) {
  const turn = (photograph.turn = (photograph.turn ?? 0) + 1);
  const parameters = new URLSearchParams({ cells: true });
  if (find("index").value) parameters.set("index", find("index").value);
  change(photograph, "asking");
  try {
    photograph.own = await readPosition(photograph.file);
    const response = await sendAccepted(photograph.file, settings.max_upload_bytes ?? Infinity, (content) => {
      const form = new FormData();
      form.append("image", content, photograph.name);
      return ask(`/v1/query?${parameters}`, { method: "POST", body: form }, askForKey);
    });
    const answer = await response.json();
    if (photograph.turn !== turn) return; // another map was chosen meanwhile
    settle(photograph, answer);
  } catch (error) {
    if (photograph.turn !== turn) return;
    photograph.error = error;
    change(photograph, "failed");
  }
}

/** Stores the answer of a photograph. */
function settle(photograph, answer) {
  photograph.answer = { ...answer, matches: shownMatches(answer) };
  photograph.judged = judge(answer);
  photograph.rank = answer.best?.rank ?? 1; // the comparison shows the best match of the location first
  change(photograph, "done");
}

function change(photograph, state) {
  photograph.state = state;
  photograph.frame.dataset.state = state;
  const status = photograph.frame.querySelector(".status");
  if (state === "done") status.replaceChildren(badge(photograph.judged));
  else status.textContent = { asking: "Looking …", failed: "Failed" }[state] ?? "Waiting";
  if (photograph === shown) show(photograph);
  else showOthers();
}

// ---- the strip of photographs ------------------------------------------------------------------------------------

function addFrame(photograph) {
  const item = find("frame").content.firstElementChild.cloneNode(true);
  const button = (photograph.frame = item.querySelector("button"));
  const image = item.querySelector("img");
  if (photograph.address) image.src = photograph.address;
  button.classList.toggle("no-picture", !photograph.address);
  image.addEventListener("error", () => button.classList.add("no-picture"));
  item.querySelector(".name").textContent = photograph.name;
  item.querySelector(".number").textContent = photographs.indexOf(photograph) + 1;
  button.title = photograph.name;
  button.addEventListener("click", () => show(photograph));
  find("film").append(item);
  find("film").hidden = false;
}

// ---- one answer --------------------------------------------------------------------------------------------------

function show(photograph) {
  shown = photograph;
  for (const { frame } of photographs) frame.ariaCurrent = frame === photograph.frame;
  const { state, answer, error } = photograph;
  showYours(photograph.address);
  find("failure").hidden = state !== "failed";
  find("compare").hidden = find("matches").hidden = !answer?.matches.length;
  showOthers();
  if (state === "failed") return showFailure(photograph, error);
  if (answer) return showAnswer(photograph);
  say("Looking …", photograph.name, "The photograph is being compared with the map.");
  map?.clear();
}

function showFailure(photograph, error) {
  const refusal = error instanceof Refused ? error : new Refused(`The page failed: ${error.message}`, "page", true);
  find("failure-title").textContent = `${photograph.name} could not be looked up`;
  find("failure-message").textContent = refusal.message;
  find("failure-advice").textContent = advice(refusal);
  find("failure-image").hidden = true;
  find("failure-image").src = photograph.address; // shown where the browser can read it
  find("again").hidden = !refusal.retry;
  find("again").onclick = () => {
    photograph.state = "waiting";
    show(photograph);
    lookUpNext();
  };
  showMap();
  map?.clear();
}

function showAnswer(photograph) {
  const { answer, own, judged, name } = photograph;
  const took = answer.timings ? ` in ${answer.timings.total_ms.toFixed(0)} ms` : "";
  find("map").hidden = !(currentIndex()?.bounds || isOnEarth(answer.location));
  find("timing").textContent = `${answer.index.count.toLocaleString()} photographs${took}`;
  const pick = (rank) => compare(photograph, rank);
  listMatches(answer, pick);
  const away = map?.show(answer, judged, own, pick) ?? 0;
  sayAnswer(answer, judged, own, away, name);
  compare(photograph, photograph.rank);
}

/** The estimates of the photographs that are not shown, numbered as in the strip. */
function showOthers() {
  const beside = shown?.state === "failed" ? [] : photographs; // no marks of other photographs beside a failure
  const others = beside
    .map((photograph, row) => ({ photograph, number: row + 1 }))
    .filter(({ photograph }) => photograph !== shown && photograph.state === "done" && isOnEarth(photograph.answer.location))
    .map(({ photograph, number }) => ({
      number,
      name: photograph.name,
      location: photograph.answer.location,
      judged: photograph.judged,
      pick: () => show(photograph),
    }));
  map?.showOthers(others);
}

function compare(photograph, rank) {
  const match = photograph.answer.matches.find((one) => one.rank === rank);
  if (!match) return;
  photograph.rank = rank;
  showTheirs(match);
  markCompared(rank);
  map?.select(rank);
}

find("share").addEventListener("click", async ({ target }) => {
  const link = linkTo(shown.answer, shown.answer.matches);
  try {
    if (navigator.share && navigator.maxTouchPoints > 0) return await navigator.share({ title: find("verdict").textContent, url: link });
    await navigator.clipboard.writeText(link);
    flash(target, "Link copied");
  } catch (error) {
    if (error.name === "AbortError") return; // the visitor closed the window in which to share
    location.hash = new URL(link).hash; // no clipboard here: the address bar has the link then
    flash(target, "The link is in the address bar");
  }
});

// ---- ways in -----------------------------------------------------------------------------------------------------

document.body.classList.toggle("touch", navigator.maxTouchPoints > 0);
for (const input of [find("file"), find("camera")]) {
  input.addEventListener("change", () => {
    add(input.files);
    input.value = ""; // so that the same file can be chosen again
  });
  // the space bar opens a file input everywhere, the enter key only in some browsers, which must not open it twice
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    input.click();
  });
}
find("another").addEventListener("click", () => find("file").click());
find("failure-image").addEventListener("load", ({ target }) => (target.hidden = false));
for (const name of ["dragover", "dragleave", "drop"]) {
  // a photograph that misses the box must not replace the page
  document.addEventListener(name, (event) => {
    event.preventDefault();
    find("main").classList.toggle("over", name === "dragover");
  });
}
document.addEventListener("drop", (event) => add(event.dataTransfer.files));
document.addEventListener("paste", (event) => add(event.clipboardData.files));

find("over").addEventListener("click", startOver);
find("follow").addEventListener("click", () => {
  startOver();
  find("main").classList.add("busy");
  follower.start();
});

function startOver() {
  follower.forget();
  for (const photograph of photographs.splice(0)) {
    photograph.turn = 0; // its answer will be ignored
    if (photograph.address) URL.revokeObjectURL(photograph.address);
  }
  shown = null;
  find("film").replaceChildren();
  find("main").classList.remove("busy");
  for (const part of ["film", "failure", "compare", "matches"]) find(part).hidden = true;
  if (location.hash) history.replaceState(null, "", location.pathname);
  map?.showOthers([]);
  map?.clear();
  showMap();
}

const follower = new Follower({ index: () => find("index").value, map: () => map?.map, say, askForKey });

/** Shows the answer in the address of the page. */
function openLink() {
  const answer = answerIn(location.hash);
  if (!answer) return;
  const known = indexes.some(({ name }) => name === answer.index.name);
  if (known) find("index").value = answer.index.name;
  const photograph = { name: "an answer from a link", address: "", state: "waiting", rank: 1 };
  keep([photograph]);
  shown = photograph;
  settle(photograph, answer);
  const lacking = known ? "" : ` This server has no map “${answer.index.name}”, so its photographs cannot be shown.`;
  find("explanation").textContent += ` This answer was opened from a link, which carries its numbers but not the photograph.${lacking}`;
}

addEventListener("hashchange", openLink);

// ---- what the server has -----------------------------------------------------------------------------------------

async function start() {
  startComparison(WIDE.matches);
  try {
    settings = await (await ask("/web/settings.json")).json();
    map = new PlaceMap(find("map"), settings);
    map.ready.catch((error) => say("The map", "The background of the map is missing", error.message));
    const response = await ask("/v1/indexes", {}, askForKey);
    indexes = (await response.json()).indexes;
    find("index").replaceChildren(...indexes.map(({ name }) => new Option(name, name)));
    find("choice").hidden = indexes.length < 2;
    const linked = answerIn(location.hash);
    if (linked && indexes.some(({ name }) => name === linked.index.name)) find("index").value = linked.index.name;
    await chooseIndex();
    openLink();
  } catch (error) {
    find("state").textContent = error.message;
    say("The map", "No map yet", error.message);
  }
}

const currentIndex = () => indexes.find(({ name }) => name === find("index").value) ?? indexes[0];

async function chooseIndex() {
  const index = currentIndex();
  if (!index) throw new Refused("The index is still being loaded: open the page again in a moment.", "not_ready", true);
  find("state").textContent = `${index.name}: ${size(index)}`;
  showMap();
  const address = `/v1/indexes/${encodeURIComponent(index.name)}`;
  const coverage = await (await ask(`${address}/coverage`, {}, askForKey)).json();
  map.showReferences(coverage, index.name);
  await offerSamples(address, add);
}

/** The size of a map as text. */
function size({ count, places }) {
  const photographs = `${count.toLocaleString()} reference photograph${count === 1 ? "" : "s"}`;
  return `${photographs} of ${places.toLocaleString()} place${places === 1 ? "" : "s"}`;
}

/** The map before any query. */
function showMap() {
  const index = currentIndex();
  if (!index) return;
  find("map").hidden = !index.bounds;
  const lacking = index.count - index.located;
  const positions = index.located ? (lacking ? `${index.located.toLocaleString()} of them with a position` : "all with a position") : "none with a position";
  const places = index.place_examples.length ? ` Among the places: ${index.place_examples.join(", ")}.` : "";
  say("The map", index.name, `${size(index)}, ${positions}.${places}`);
}

find("index").addEventListener("change", async () => {
  const following = follower.active;
  follower.forget();
  await chooseIndex();
  if (following) follower.start();
  for (const photograph of photographs.filter(({ file }) => file)) {
    delete photograph.answer;
    photograph.turn = (photograph.turn ?? 0) + 1;
    photograph.state = "waiting";
  }
  if (shown) show(shown);
  lookUpNext();
});

start();
