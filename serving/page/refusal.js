// Which fields of the form a refusal of the server is about: `columns` and `expected` of an error.

const WORDS = {
  integer: "a whole number", long: "a whole number", float: "a number", double: "a number",
  boolean: "true or false", string: "text", datetime: "a date and time", binary: "bytes, in Base64",
};

/** [{column, message}] for the fields that an error names; empty where it names none. */
export function refusedFields({ columns = [], expected }) {
  const message = WORDS[expected] ? `Expected ${WORDS[expected]}.` : "This is not what the model takes.";
  return columns.map((column) => ({ column, message }));
}
