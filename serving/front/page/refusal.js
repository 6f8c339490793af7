// Which fields of the form a refusal of the server is about: `columns`, `row` and `expected` of an error.

const WORDS = {
  integer: "a whole number", long: "a whole number", float: "a number", double: "a number",
  boolean: "true or false", string: "text", datetime: "a date and time", binary: "bytes, in Base64",
};

/** [{column, message}] for the fields that an error names; empty where it names none. */
export function refusedFields({ columns = [], row, expected }) {
  const type = WORDS[expected] ? `Expected ${WORDS[expected]}.` : "This is not what the model takes.";
  const told = row === undefined && !expected ? "The model needs a value here." : type;
  return columns.map((column) => ({ column, message: told }));
}
