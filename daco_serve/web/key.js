// The dialog in which the page asks for the server's key.

import { find } from "./elements.js";
import { keepKey } from "./server.js";

let asked = null; // one dialog for all who wait for a key

/** Resolves to true once there is another key to try. */
export function askForKey(message) {
  asked ??= new Promise((answered) => {
    const dialog = find("key-dialog");
    if (message) find("key-message").textContent = message;
    find("key").value = "";
    dialog.showModal();
    find("key-form").onsubmit = (event) => {
      event.preventDefault();
      keepKey(find("key").value.trim());
      answered(true);
      dialog.close();
    };
    find("key-cancel").onclick = () => dialog.close();
    dialog.addEventListener("close", () => answered(false), { once: true });
  }).finally(() => (asked = null));
  return asked;
}
