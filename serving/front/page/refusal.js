// Which fields a refusal of the server is about. Its messages name column and row in Python's quotes:
// `Column 'age', row 0: expected long.` and `The request lacks columns 'age', "it's".`

const QUOTED = String.raw`'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"`;
const CELL = new RegExp(`^Column (${QUOTED}), row (\\d+): (.*)$`, "s");
const MISSING = new RegExp(`^The request lacks columns? ((?:${QUOTED})(?:, (?:${QUOTED}))*)\\.$`, "s");
const WORDS = {
  integer: "a whole number", long: "a whole number", float: "a number", double: "a number",
  boolean: "true or false", string: "text", datetime: "a date and time", binary: "bytes, in Base64",
};

// Kept beside `serving.client.errors`, which reads the same messages.

/** [{column, message}] for the fields that `message` names; empty where it names none. */
export function refusedFields(message) {
  const cell = CELL.exec(message);
  if (cell) return [{ column: unquoted(cell[1]), message: plain(cell[3]) }];
  const missing = MISSING.exec(message);
  if (!missing) return [];
  return missing[1].match(new RegExp(QUOTED, "g")).map((name) => ({ column: unquoted(name), message: "The model needs a value here." }));
}

const unquoted = (text) => text.slice(1, -1).replace(/\\(.)/g, "$1");

function plain(told) {
  const type = /^expected (?:DataType\.)?(\w+)\.$/.exec(told);
  return type && WORDS[type[1]] ? `Expected ${WORDS[type[1]]}.` : "This is not what the model takes.";
}
