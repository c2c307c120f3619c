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

function inSchema(sql: string, schema: string): string {
  return sql.replaceAll(/\bsemel\./g, () => `${quoteIdentifier(schema)}.`)
}
