// Converts photographs in the browser that the server does not accept as they are.

const SHRUNK_SIDE = 2048; // pixels of the longer side
const REMADE = new Set(["image_too_large", "image_too_slow", "not_an_image", "unsupported_format"]);

/** Sends a photograph by `send(blob)`, and once more as a smaller JPEG if its format or its size was refused. */
export async function sendAccepted(file, mostBytes, send) {
  if (file.size > mostBytes) return send((await asJpeg(file)) ?? file);
  try {
    return await send(file);
  } catch (error) {
    const remade = REMADE.has(error.code) ? await asJpeg(file) : null;
    if (!remade) throw error; // the browser cannot read it either: show the server's error
    return send(remade);
  }
}

/** An upright JPEG of a photograph; null if the browser cannot read it. */
async function asJpeg(file) {
  const image = await createImageBitmap(file).catch(() => null);
  if (!image) return null;
  const scale = Math.min(1, SHRUNK_SIDE / Math.max(image.width, image.height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(image.width * scale)), Math.max(1, Math.round(image.height * scale)));
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  image.close();
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
}
