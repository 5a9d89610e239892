// Example queries, if the index was built with --samples.

import { find } from "./elements.js";
import { askForKey } from "./key.js";
import { ask, showImage } from "./server.js";

/** Offers the samples of the index at an address, `/v1/indexes/NAME`; `add(files)` looks up the one that is chosen. */
export async function offerSamples(address, add) {
  const { samples } = await (await ask(`${address}/samples`, {}, askForKey)).json();
  find("samples").hidden = !samples.length;
  find("samples-list").replaceChildren(...samples.map((sample, row) => item(sample, row + 1, add)));
}

function item({ name, image }, number, add) {
  const picture = document.createElement("img");
  picture.alt = `Sample photograph ${number}`;
  showImage(picture, image);
  const button = document.createElement("button");
  button.type = "button";
  button.append(picture);
  button.addEventListener("click", async () => {
    const content = await (await ask(image, {}, askForKey)).blob();
    add([new File([content], name, { type: content.type })]);
  });
  const element = document.createElement("li");
  element.append(button);
  return element;
}
