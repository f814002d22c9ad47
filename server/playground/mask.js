// A mask, painted over the picture that it is for: white where the model is to paint, black elsewhere.

import { html, useEffect, useRef, useState } from "./html.js";
import { Painting } from "./painting.js";

const SIZES = { least: 0.01, most: 0.4, first: 0.1 };

/**
 * @param {object} props
 * @param {string} props.image a data URL
 * @param {string} [props.mask] one to go on with
 * @param {Function} props.onDone gets the mask as the data URL of a PNG
 * @param {Function} props.onClose
 */
export function MaskDialog({ image, mask, onDone, onClose }) {
  const dialog = useRef(null);
  const canvas = useRef(null);
  const painting = useRef(null);
  const [size, setSize] = useState(SIZES.first);
  const [erasing, setErasing] = useState(false);
  const [brush, setBrush] = useState({ x: 0.5, y: 0.5, down: false, seen: false });
  const [problem, setProblem] = useState("");

  useEffect(() => {
    dialog.current.showModal();
    Painting.over(canvas.current, image, mask).then(
      (made) => {
        painting.current = made;
        canvas.current.dataset.ready = "true";
      },
      () => setProblem("The browser cannot show this picture, so nothing can be drawn on it."),
    );
  }, []);

  const paint = (x, y, begins) => {
    setBrush({ x, y, down: true, seen: true });
    if (begins) painting.current?.begin(size, erasing);
    painting.current?.lineTo(x, y);
  };
  const placeOf = (event) => {
    const box = canvas.current.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const onKeyDown = (event) => {
    const step = event.shiftKey ? 0.1 : 0.02;
    const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (move) {
      const [x, y] = [clamp(brush.x + move[0]), clamp(brush.y + move[1])];
      if (brush.down) paint(x, y, false);
      else setBrush({ x, y, down: false, seen: true });
    } else if (event.key === " ") {
      if (!event.repeat) paint(brush.x, brush.y, true);
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) painting.current?.undo();
    else return;
    event.preventDefault();
  };
  const lift = () => setBrush((last) => ({ ...last, down: false }));
  const ring = { left: `${brush.x * 100}%`, top: `${brush.y * 100}%`, width: `${size * 100}%` };

  return html`<dialog ref=${dialog} class="mask" aria-labelledby="mask-title" onClose=${onClose}>
    <h2 id="mask-title">Draw the mask</h2>
    <p class="quiet">
      Paint over what is to be made anew. With the keyboard: arrows move the brush, faster with Shift; Space paints.
    </p>
    ${problem && html`<p class="error" role="alert">${problem}</p>`}
    <div class="easel">
      <img src=${image} alt="The picture that the mask is for" draggable=${false} />
      <canvas
        ref=${canvas}
        tabindex="0"
        role="application"
        aria-label="Mask: arrows move the brush, Space paints, Ctrl-Z takes back"
        onPointerDown=${(event) => {
          if (event.button || !event.isPrimary) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          paint(...placeOf(event), true);
        }}
        onPointerMove=${(event) => {
          // A second finger paints nothing.
          if (!event.isPrimary) return;
          const [x, y] = placeOf(event);
          if (event.buttons) paint(x, y, false);
          else setBrush({ x, y, down: false, seen: true });
        }}
        onPointerUp=${lift}
        onPointerCancel=${lift}
        onPointerLeave=${() => setBrush((last) => ({ ...last, seen: last.down }))}
        onFocus=${() => setBrush((last) => ({ ...last, seen: true }))}
        onKeyDown=${onKeyDown}
        onKeyUp=${(event) => event.key === " " && lift()}
      />
      ${brush.seen && html`<span class="brush" style=${ring} aria-hidden="true"></span>`}
    </div>
    <div class="row tools">
      <label>Brush <input type="range" min=${SIZES.least} max=${SIZES.most} step="0.01" value=${size}
        onInput=${(event) => setSize(Number(event.currentTarget.value))} /></label>
      <label class="chip"><input type="checkbox" checked=${erasing}
        onChange=${(event) => setErasing(event.currentTarget.checked)} /> Erase</label>
      <button type="button" onClick=${() => painting.current?.undo()}>Undo</button>
      <button type="button" onClick=${() => painting.current?.invert()}>Invert</button>
      <button type="button" onClick=${() => painting.current?.clear()}>Clear</button>
    </div>
    <div class="row end">
      <button type="button" onClick=${() => dialog.current.close()}>Cancel</button>
      <button type="button" class="primary" disabled=${Boolean(problem)}
        onClick=${() => painting.current && onDone(painting.current.toDataUrl())}>Use this mask</button>
    </div>
  </dialog>`;
}

const clamp = (value) => Math.min(1, Math.max(0, value));
