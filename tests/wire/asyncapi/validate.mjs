// Reads an AsyncAPI document with the official parser and prints what it finds: [{severity, message, path}].
// Severity 0 is an error, 1 a warning; exit status 1 where there is an error.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const text = readFileSync(process.argv[2], "utf8");
const { document, diagnostics } = await new Parser().parse(text);
console.log(JSON.stringify(diagnostics.map(({ severity, message, path }) => ({ severity, message, path: path.join(".") }))));
process.exit(document === undefined || diagnostics.some(({ severity }) => severity === 0) ? 1 : 0);
