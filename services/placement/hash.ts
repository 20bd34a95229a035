/**
 * 32-bit hashes for ranking relays. Not cryptographic: whoever can choose Call-IDs can choose a relay, which
 * costs balance and nothing else. What matters is that every replica computes the same.
 */

/** FNV-1a over the UTF-16 code units (all ASCII here), then mixed. */
export function hashText(text: string): number {
  let hash = 0x81_1c_9d_c5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01_00_01_93);
  }
  return mix(hash);
}

/** Joins two hashes into one that depends on every bit of both. */
export function combine(a: number, b: number): number {
  return mix(Math.imul(a, 0x9e_37_79_b1) ^ b);
}

/** The finalizer of MurmurHash3: each bit of the input changes each bit of the output with probability 1/2. */
function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85_eb_ca_6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2_b2_ae_35);
  return (h ^ (h >>> 16)) >>> 0;
}
