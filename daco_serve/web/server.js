// Requests to the server: with the key if it requires one, repeated if it says when, errors as sentences.

const KEY = "daco-serve key";
const TRIES = 4;

/** An error of the server, with its message; `retry` if the same request may succeed later. */
export class Refused extends Error {
  constructor(message, code, retry) {
    super(message);
    this.code = code;
    this.retry = retry;
  }
}

/** Gets an address; `askForKey(message)` resolves to true once there is another key to try. */
export async function ask(address, options = {}, askForKey = null) {
  for (let turn = 1; ; turn++) {
    const response = await send(address, options);
    if (response.ok) return response;
    const error = (await response.json().catch(() => null))?.error;
    const message = error?.message ?? `The server answered ${response.status} ${response.statusText}.`;
    if (response.status === 401 && askForKey && (await askForKey(error?.code === "key_wrong" ? message : ""))) continue;
    const later = [429, 503].includes(response.status);
    if (!later || turn >= TRIES) throw new Refused(message, error?.code, later || response.status >= 500);
    await new Promise((done) => setTimeout(done, 1000 * Math.min(10, Number(response.headers.get("Retry-After")) || turn)));
  }
}

async function send(address, options) {
  const key = currentKey();
  const headers = key ? { ...options.headers, Authorization: `Bearer ${key}` } : options.headers;
  try {
    return await fetch(address, { ...options, headers });
  } catch {
    throw new Refused("The server cannot be reached. Is it still running?", "unreachable", true);
  }
}

/** Shows an image of the server; an img element cannot send the key itself. */
export async function showImage(image, address) {
  if (!currentKey()) {
    image.src = address;
    return;
  }
  image.removeAttribute("src");
  image.dataset.wanted = address;
  const content = await (await ask(address)).blob().catch(() => null);
  if (!content || image.dataset.wanted !== address) return; // the element shows another image by now
  image.src = URL.createObjectURL(content);
  image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
}

export const currentKey = () => sessionStorage.getItem(KEY) ?? "";
export const keepKey = (key) => sessionStorage.setItem(KEY, key);
