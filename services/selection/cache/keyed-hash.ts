import { randomBytes } from 'node:crypto';

/**
 * A hash of texts that others choose: nobody who does not know the key can find texts that collide. HalfSipHash-1-3,
 * made for hash tables, which needs nothing wider than the 32 bits that are fast here.
 */
export class KeyedHash {
  readonly #key0: number;
  readonly #key1: number;

  /** @param key 8 bytes; random if not given */
  constructor(key = randomBytes(8)) {
    this.#key0 = key.readInt32LE(0);
    this.#key1 = key.readInt32LE(4);
  }

  /** Of a text of Latin-1; 0 to 2^32 - 1. */
  of(text: string): number {
    let v0 = this.#key0;
    let v1 = this.#key1;
    let v2 = 0x6c_79_67_65 ^ this.#key0;
    let v3 = 0x74_65_64_62 ^ this.#key1;
    const { length } = text;
    const wholeWords = length & ~3;
    // Whole words first, then what is left with the length, then three rounds that end it.
    for (let at = 0, rounds = (length >> 2) + 4; rounds > 0; rounds--, at += 4) {
      let word = 0;
      if (at < wholeWords) {
        word =
          text.charCodeAt(at) |
          (text.charCodeAt(at + 1) << 8) |
          (text.charCodeAt(at + 2) << 16) |
          (text.charCodeAt(at + 3) << 24);
      } else if (at === wholeWords) {
        word = length << 24;
        for (let left = at; left < length; left++) {
          word |= text.charCodeAt(left) << (8 * (left - at));
        }
      } else if (at === wholeWords + 4) {
        v2 ^= 0xff;
      }
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    return (v1 ^ v3) >>> 0;
  }
}
