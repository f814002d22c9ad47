// The request that the form makes, in the languages that people send it from. Each text runs as it stands.

import { SERVER } from "./api.js";

/**
 * @param {object} input of the request
 * @param {object} model
 * @param {string|null} token that the server wants
 * @returns {Array<{name: string, text: string, about: string}>}
 */
export function snippets(input, model, token) {
  // Replicate's client knows trainings only of its own models.
  const givers = model.trains ? [curl, httpx, javascript, commandLine] : [curl, httpx, replicate, javascript, commandLine];
  return givers.map((give) => give(input, model, token));
}

const urlOf = (path) => new URL(path, SERVER).href;

function curl(input, model, token) {
  const allow = token ? ` \\\n  -H ${quoted(`Authorization: Bearer ${token}`)}` : "";
  return {
    name: "curl",
    about: "Prints the prediction as JSON, with the files as data URLs. In a shell.",
    text: `curl --silent --show-error -H 'Content-Type: application/json'${allow} \\
  --data-binary @- ${quoted(urlOf(model.path))} <<'JSON'
${JSON.stringify({ input }, null, 2)}
JSON
`,
  };
}

function httpx(input, model, token) {
  const allow = token ? `\n    headers={"Authorization": ${JSON.stringify(`Bearer ${token}`)}},` : "";
  return {
    name: "Python",
    about: "With httpx: pip install httpx",
    text: `${importsOf(model)}import httpx

response = httpx.post(
    ${JSON.stringify(urlOf(model.path))},
    json={"input": ${python(input, 1)}},${allow}
    timeout=None,
)
response.raise_for_status()
prediction = response.json()
if prediction["status"] != "succeeded":
    raise SystemExit(prediction.get("error") or prediction["status"])
${keepInPython(model, 'prediction["output"]')}`,
  };
}

function replicate(input, model, token) {
  return {
    name: "Python, replicate",
    about: "With Replicate's own client: pip install replicate",
    text: `${importsOf(model)}import replicate

client = replicate.Client(api_token=${JSON.stringify(token ?? "none")}, base_url=${JSON.stringify(SERVER)})
output = client.run("darkroom/model", input=${python(input, 0)})
${keepInPython(model, "output", "file.url")}`,
  };
}

function javascript(input, model, token) {
  const imports = filesAre(model) ? 'import { writeFile } from "node:fs/promises";\n\n' : "";
  const allow = token ? `, Authorization: ${JSON.stringify(`Bearer ${token}`)}` : "";
  const save = filesAre(model)
    ? `for (const [number, url] of ${model.output.type === "array" ? "output" : "[output]"}.entries()) {
  const file = await (await fetch(url)).blob();
  await writeFile(\`output-\${number}.\${file.type.split("/")[1]}\`, Buffer.from(await file.arrayBuffer()));
}
`
    : "console.log(output);\n";
  return {
    name: "JavaScript",
    about: "For Node 20 or later, as a file that ends in .mjs; in a browser without the lines that write files.",
    text: `${imports}const response = await fetch(${JSON.stringify(urlOf(model.path))}, {
  method: "POST",
  headers: { "Content-Type": "application/json"${allow} },
  body: JSON.stringify(${JSON.stringify({ input }, null, 2).replaceAll("\n", "\n  ")}),
});
if (!response.ok) throw new Error(await response.text());
const { status, output, error } = await response.json();
if (status !== "succeeded") throw new Error(error ?? status);
${save}`,
  };
}

function commandLine(input, model) {
  const isSimple = Object.entries(input).every(([name, value]) => fitsTheCommandLine(model, name, value));
  const mode = model.trains ? " --x-mode train" : "";
  const given = Object.entries(input).map(([name, value]) => ` \\\n  -i ${quoted(`${name}=${value}`)}`);
  return {
    name: "Command line",
    about: "In the folder of the model, without a server.",
    text: isSimple
      ? `darkroom predict${mode}${given.join("")}\n`
      : `darkroom predict${mode} --json - <<'JSON'\n${JSON.stringify(input, null, 2)}\nJSON\n`,
  };
}

const LONGEST_ARGUMENT = 1000;

function fitsTheCommandLine(model, name, value) {
  const kind = model.fields.find((field) => field.name === name)?.kind;
  if (typeof value === "number" || typeof value === "boolean") return true;
  // Elsewhere text could be taken for JSON.
  return ["text", "longtext", "file", "choice", "secret"].includes(kind) && String(value).length <= LONGEST_ARGUMENT;
}

const filesAre = ({ output }) => (output.type === "array" ? output.items : output)?.format === "uri";

const importsOf = (model) =>
  filesAre(model) ? "from pathlib import Path\nfrom urllib.request import urlopen\n\n" : "";

function keepInPython(model, output, url = "file") {
  if (!filesAre(model)) return `print(${output})\n`;
  return `for number, file in enumerate(${model.output.type === "array" ? output : `[${output}]`}):
    with urlopen(${url}) as content:
        ending = content.headers.get_content_subtype()
        Path(f"output-{number}.{ending}").write_bytes(content.read())
`;
}

/** A value as Python writes it; JSON's texts are Python's, too. */
function python(value, depth) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const margin = "    ".repeat(depth);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const items = Array.isArray(value)
    ? value.map((item) => python(item, depth + 1))
    : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${python(item, depth + 1)}`);
  if (!items.length) return open + close;
  return `${open}\n${items.map((item) => `${margin}    ${item},\n`).join("")}${margin}${close}`;
}

/** A text as one word of a shell. */
const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
