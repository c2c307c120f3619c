// Control characters (also of the upper half), line separators, and characters that reorder or hide text.
const unsafe =
  /[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|\p{Surrogate}/gu
const markup = /[&<>"']/g
const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text from a history on one line that a terminal shows and does not obey: keys and payloads are strangers' words. */
export function plain(text: string): string {
  return text.replace(unsafe, (character) =>
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
    ).join(''),
  )
}

/** The same for a page: nothing in it is markup, in text or in a quoted attribute. */
export function html(text: string): string {
  return plain(text).replace(markup, (character) => entities[character]!)
}
