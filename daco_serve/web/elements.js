// Small helpers for the elements of the page.

export const find = (id) => document.getElementById(id);

/** A name that may be broken after its dividers, and is still copied as it is. */
export const breakable = (name) => name.split(/(?<=[_/.-])/).flatMap((part) => [part, document.createElement("wbr")]);

/** The address of a reference photograph, at most so many pixels wide. */
export const resized = (address, width) => `${address}${address.includes("?") ? "&" : "?"}width=${width}`;

/** Shows another word on a button for a moment. */
export function flash(button, word) {
  const usual = (button.dataset.usual ??= button.textContent);
  button.textContent = word;
  setTimeout(() => (button.textContent = usual), 1500);
}
