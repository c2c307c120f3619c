import { type ErrorCode, SemelError } from '../errors.ts'
import { limits } from '../limits.ts'

const nameGrammar = /^[a-z0-9][a-z0-9._-]*$/
/** Topics and groups of Semel's own features begin with this. */
export const reservedNamePrefix = 'semel.'

/** A topic name that is good on every engine, or INVALID_TOPIC. */
export function checkTopicName(name: string): string {
  return checkName('INVALID_TOPIC', 'topic', name, limits.topicNameCharsMax)
}

/** A group name that is good on every engine, or INVALID_GROUP. */
export function checkGroupName(name: string): string {
  return checkName('INVALID_GROUP', 'group', name, limits.groupNameCharsMax)
}

function checkName(code: ErrorCode, field: string, name: string, charsMax: number): string {
  if (typeof name !== 'string') throw new SemelError(code, `${field} must be a string`, { field })
  if (name.length > charsMax) {
    throw new SemelError(code, `${field} name has ${name.length} characters, the limit is ${charsMax}`, {
      field,
      limit: charsMax,
      actual: name.length,
    })
  }
  if (!nameGrammar.test(name) || name.includes('..')) {
    throw new SemelError(code, `${field} name ${JSON.stringify(name.slice(0, 60))} is not allowed`, {
      field,
      hint: 'use lower-case letters, digits, "-", "_" and single dots, beginning with a letter or digit',
    })
  }
  if (name.startsWith(reservedNamePrefix)) {
    throw new SemelError(code, `${field} names beginning with "${reservedNamePrefix}" are Semel's own`, {
      field,
    })
  }
  return name
}

/** Well-formed text of 1 to `bytesMax` UTF-8 bytes without NUL (PostgreSQL cannot store it). */
export function checkText(
  code: ErrorCode,
  field: string,
  text: string | number,
  bytesMax: number,
  emptyAllowed: boolean,
): string {
  if (typeof text !== 'string') throw new SemelError(code, `${field} must be a string`, { field })
  if (text.length === 0 && !emptyAllowed) throw new SemelError(code, `${field} must not be empty`, { field })
  // One UTF-16 unit takes at most 3 bytes; only long texts need to be measured.
  if (text.length * 3 > bytesMax) {
    const bytes = Buffer.byteLength(text)
    if (bytes > bytesMax) {
      throw new SemelError(code, `${field} has ${bytes} bytes, the limit is ${bytesMax}`, {
        field,
        limit: bytesMax,
        actual: bytes,
      })
    }
  }
  if (text.includes('\u0000')) throw new SemelError(code, `${field} must not contain NUL`, { field })
  if (!text.isWellFormed()) {
    throw new SemelError(code, `${field} must be well-formed Unicode: it holds half of a surrogate pair`, {
      field,
    })
  }
  return text
}
