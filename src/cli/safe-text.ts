// Control characters (also of the upper half), line separators, and characters that reorder or hide text.
const unsafe =
  /[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|\p{Surrogate}/gu

/**
 * Text that a terminal shows and does not obey, on one line. Events hold what strangers sent: an escape sequence in
 * it could rewrite the screen, the window title or, in some terminals, the clipboard.
 */
export function safeText(text: string): string {
  return text.replace(unsafe, escapeCharacter)
}

/** JSON on one line, equally harmless, and still the same value for whoever parses it. */
export function safeJson(value: unknown): string {
  return safeText(JSON.stringify(value))
}

function escapeCharacter(character: string): string {
  return Array.from(
    { length: character.length },
    (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
  ).join('')
}
