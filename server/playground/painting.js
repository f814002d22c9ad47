// What is painted on a canvas over a picture, as a list of strokes, so that each can be taken back.

const LONGEST_SIDE = 2048;

/** Lengths and places are parts of the canvas's width and height, from 0 to 1. */
export class Painting {
  /**
   * Size the canvas like the picture (a very large one is scaled down) and begin with the mask that there is.
   *
   * Rejects where the browser cannot read the picture. A mask that it cannot read counts as none.
   */
  static async over(canvas, image, mask) {
    const picture = await load(image);
    const scale = Math.min(1, LONGEST_SIDE / Math.max(picture.naturalWidth, picture.naturalHeight));
    canvas.width = Math.max(1, Math.round(picture.naturalWidth * scale));
    canvas.height = Math.max(1, Math.round(picture.naturalHeight * scale));
    const painting = new Painting(canvas);
    const base = mask && (await load(mask).catch(() => undefined));
    if (base) painting.apply((context) => drawWhite(context, base));
    return painting;
  }

  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.strokes = [];
  }

  /** Begin a stroke with a round brush of this width. */
  begin(size, erases) {
    this.strokes.push({ size, erases, places: [] });
  }

  /** Go on with the stroke; its first place is a dot. */
  lineTo(x, y) {
    const stroke = this.strokes.at(-1);
    stroke.places.push([x, y]);
    this.draw({ ...stroke, places: stroke.places.slice(-2) });
  }

  /** Swap what is painted and what is not. */
  invert() {
    this.apply((context, { width, height }) => {
      context.globalCompositeOperation = "xor";
      context.fillRect(0, 0, width, height);
    });
  }

  clear() {
    this.apply((context, { width, height }) => context.clearRect(0, 0, width, height));
  }

  /** Take back the last of all this. */
  undo() {
    this.strokes.pop();
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    for (const stroke of this.strokes) this.draw(stroke);
  }

  apply(operation) {
    this.strokes.push({ operation });
    this.draw({ operation });
  }

  draw({ operation, size, erases, places }) {
    const { context, canvas } = this;
    context.save();
    context.fillStyle = context.strokeStyle = PAINT;
    if (operation) operation(context, canvas);
    else if (places.length) {
      context.globalCompositeOperation = erases ? "destination-out" : "source-over";
      context.lineCap = context.lineJoin = "round";
      context.lineWidth = size * canvas.width;
      context.beginPath();
      const [first, ...others] = places.map(([x, y]) => [x * canvas.width, y * canvas.height]);
      if (others.length) {
        context.moveTo(...first);
        for (const place of others) context.lineTo(...place);
        context.stroke();
      } else {
        // A line without a length is not drawn.
        context.arc(...first, context.lineWidth / 2, 0, 2 * Math.PI);
        context.fill();
      }
    }
    context.restore();
  }

  /** The mask as a PNG: white where there is paint, black elsewhere. */
  toDataUrl() {
    const copy = document.createElement("canvas");
    copy.width = this.canvas.width;
    copy.height = this.canvas.height;
    const context = copy.getContext("2d");
    context.drawImage(this.canvas, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = "white";
    context.fillRect(0, 0, copy.width, copy.height);
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = "black";
    context.fillRect(0, 0, copy.width, copy.height);
    return copy.toDataURL("image/png");
  }
}

const PAINT = "#e5352b";

async function load(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

function drawWhite(context, mask) {
  const { width, height } = context.canvas;
  context.drawImage(mask, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height);
  const [red, green, blue] = [1, 3, 5].map((place) => parseInt(PAINT.slice(place, place + 2), 16));
  for (let place = 0; place < pixels.data.length; place += 4) {
    const light = (pixels.data[place] * pixels.data[place + 3]) / 255;
    pixels.data.set([red, green, blue, light], place);
  }
  context.putImageData(pixels, 0, 0);
}
