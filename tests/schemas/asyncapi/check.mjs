// Reads one AsyncAPI document with AsyncAPI's own parser; prints what it holds against it and what it found in it.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const text = await readFile(process.argv[2], "utf8");
const { document, diagnostics } = await new Parser().parse(text);
const found = diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path: path.join("."), message }));
const counts = document && {
  channels: document.channels().length,
  operations: document.operations().length,
  messages: document.components().messages().length,
};
console.log(JSON.stringify({ diagnostics: found, counts: counts ?? null }));
process.exit(document ? 0 : 1);
