// Files as inputs and outputs have them: data URLs, and addresses on the web.

/** A file chosen by the user, to be sent as a data URL: {url, name}. */
export function readFile(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve({ url: reader.result, name: file.name || "pasted" });
    reader.onerror = () => reject(new Error(`${file.name} cannot be read: ${reader.error.message}`));
    reader.readAsDataURL(file);
  });
}

/** What lies at `url`, as a draft has it. */
export function fileAt(url) {
  return { url, name: url.startsWith("data:") ? `file.${endingOf(url)}` : url };
}

export const isFile = (value) => typeof value === "string" && /^(data:[^,]*,|https?:\/\/)/.test(value);

/** "image/png" of a data URL; guessed from the ending of any other address. */
export function mediaType(url) {
  if (url.startsWith("data:")) return /^data:([^;,]*)/.exec(url)[1] || "text/plain";
  const ending = /\.(\w+)(?:[?#]|$)/.exec(url)?.[1]?.toLowerCase();
  return TYPES[ending] ?? "application/octet-stream";
}

const TYPES = {
  avif: "image/avif",
  gif: "image/gif",
  jpeg: "image/jpeg",
  jpg: "image/jpeg",
  png: "image/png",
  svg: "image/svg+xml",
  webp: "image/webp",
  mp3: "audio/mpeg",
  wav: "audio/wav",
  mp4: "video/mp4",
  webm: "video/webm",
};

/** What the name of such a file ends in, without the full stop. */
export function endingOf(url) {
  const type = mediaType(url);
  const known = Object.entries(TYPES).find(([, one]) => one === type)?.[0];
  const subtype = type.split("/")[1] ?? "bin";
  if (type === "image/jpeg") return "jpg";
  return known ?? { plain: "txt", "octet-stream": "bin", "svg+xml": "svg" }[subtype] ?? subtype.replace(/^x-/, "");
}

/** How large the file in a data URL is, in words; "" for other addresses. */
export function sizeOf(url) {
  if (!url.startsWith("data:")) return "";
  const content = url.length - url.indexOf(",") - 1;
  const padding = url.endsWith("==") ? 2 : Number(url.endsWith("="));
  const bytes = url.slice(0, url.indexOf(",")).endsWith(";base64") ? (content * 3) / 4 - padding : content;
  if (bytes < 1000) return `${Math.round(bytes)} bytes`;
  return bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** The text in a data URL. */
export function textOf(url) {
  const [head, body] = [url.slice(0, url.indexOf(",")), url.slice(url.indexOf(",") + 1)];
  if (!head.endsWith(";base64")) return decodeURIComponent(body);
  return new TextDecoder().decode(Uint8Array.from(atob(body), (character) => character.charCodeAt(0)));
}

/** A value as JSON in which long data URLs are cut, for reading. */
export function shortJson(value) {
  return JSON.stringify(value, (_, item) => (typeof item === "string" ? shortened(item) : item), 2);
}

/** A data URL cut after its beginning; any other text as it is. */
export function shortened(text) {
  if (!text.startsWith("data:") || text.length < 100) return text;
  return `${text.slice(0, text.indexOf(",") + 12)}… (${sizeOf(text)})`;
}
