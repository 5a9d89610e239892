// What to do about a photograph that could not be looked up.

const ADVICE = {
  not_an_image: "Choose a photograph.",
  unsupported_format: "Save it as a JPEG, or choose another photograph.",
  image_truncated: "The file is incomplete: copy it again from the camera, or choose another one.",
  image_too_large: "Make it smaller, or choose another one.",
  image_too_narrow: "Crop it, or choose a photograph that is not such a narrow strip.",
  image_too_slow: "Save it again as a JPEG, or choose another one.",
  key_missing: "Enter a key when the page asks for it.",
  key_wrong: "Enter another key when the page asks for it.",
  unreachable: "Check that the server is running and that you are connected to it, then try again.",
  too_many_requests: "Wait a moment, then try again.",
  too_busy: "Wait a moment, then try again.",
  prior_holds_nothing: "Search the whole map.",
};

/** A sentence of advice for an error of the server. */
export function advice({ code, retry }) {
  return ADVICE[code] ?? (retry ? "Try again in a moment." : "Choose another photograph.");
}
