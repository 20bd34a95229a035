/**
 * 32-bit hashes for ranking relays. Not cryptographic: whoever can choose Call-IDs can choose a relay, which
 * costs balance and nothing else. What matters is that every replica computes the same.
 */

/** FNV-1a over the UTF-16 code units (all ASCII here), then mixed. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** Joins two hashes into one that depends on every bit of both. */
export function combine(a: number, b: number): number {
  return mix(Math.imul(a, 0x9e3779b1) ^ b);
}

/** The finaliser of MurmurHash3: each bit of the input changes each bit of the output with probability 1/2. */
function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
