// The matched regions of two photographs, as patches over each of them; what matches has the same tint in both.

const SVG = "http://www.w3.org/2000/svg";
const FEWEST_ACROSS = 4;
const MOST_ACROSS = 32;

/** Draws over a figure of the comparison; `side` is "query" or "reference". Cells are those of the HTTP answer. */
export function drawRegions(figure, image, cells, side) {
  clearRegions(figure);
  const { naturalWidth: width, naturalHeight: height } = image;
  if (!width || !cells.length) return;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "regions");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "xMidYMid slice"); // as `object-fit: cover` places the photograph
  svg.setAttribute("aria-hidden", "true");
  const across = cellsAcross(cells, "x");
  const down = cellsAcross(cells, "y");
  for (const cell of cells) {
    const patch = document.createElementNS(SVG, "rect");
    const [wide, high] = [width / across, height / down];
    patch.setAttribute("x", cell[`${side}_x`] * width - wide / 2);
    patch.setAttribute("y", cell[`${side}_y`] * height - high / 2);
    patch.setAttribute("width", wide);
    patch.setAttribute("height", high);
    patch.setAttribute("rx", Math.min(wide, high) / 6);
    patch.setAttribute("fill", tint(cell));
    patch.setAttribute("fill-opacity", 0.15 + 0.3 * cell.strength);
    patch.setAttribute("stroke", tint(cell));
    svg.append(patch);
  }
  figure.append(svg);
}

export const clearRegions = (figure) => figure.querySelector(".regions")?.remove();

/** From red at the left of the query to violet at its right, darker towards the bottom. */
const tint = ({ query_x: x, query_y: y }) => `hsl(${Math.round(300 * x)} 95% ${Math.round(72 - 26 * y)}%)`;

/** How many cells lie across a photograph, or down: by the narrowest distance of two of them. */
function cellsAcross(cells, axis) {
  const places = [...new Set(cells.map((cell) => cell[`query_${axis}`]))].sort((one, other) => one - other);
  const steps = places.slice(1).map((place, row) => place - places[row]);
  const step = Math.min(...steps.filter((length) => length > 0.5 / MOST_ACROSS), 1 / FEWEST_ACROSS);
  return Math.min(MOST_ACROSS, Math.round(1 / step));
}
