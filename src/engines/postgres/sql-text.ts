import { packageText } from '../../platform/files.ts'

/** The one function that quotes an identifier. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/**
 * Text of a file in this folder, for a schema. The files are plain SQL for the schema `semel`, so that they can be
 * read, checked and tried in a shell; every name in them is qualified, so no search_path can redirect one.
 */
export function sqlText(path: string, schema: string): string {
  return inSchema(packageText(new URL(path, import.meta.url)), schema)
}

/** Names stand as they are, within text literals such as `nextval('semel.n')`, and within bodies between `$$`. */
function inSchema(sql: string, schema: string): string {
  const quoted = quoteIdentifier(schema)
  const inLiteral = quoted.replaceAll("'", "''")
  let tag = '$body$'
  while (schema.includes('$') && quoted.includes(tag)) tag = `${tag.slice(0, -1)}_$`
  return sql
    .replaceAll(/^ *--.*\n/gm, '')
    .replaceAll('$$', () => tag)
    .replaceAll(/('?)\bsemel\./g, (_, quote: string) => `${quote}${quote === '' ? quoted : inLiteral}.`)
}
