// Server-sent events out of the body of a response. EventSource cannot POST.

/** The events in turn, as {event, data}, the data read as JSON; ends with the body. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const event = read(block);
      if (event) yield event;
    }
  }
}

function read(block) {
  const found = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    // What begins with a colon is a comment that keeps the connection alive.
    if (colon > 0) found[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
  }
  return found.data === undefined ? undefined : { event: found.event ?? "message", data: JSON.parse(found.data) };
}
