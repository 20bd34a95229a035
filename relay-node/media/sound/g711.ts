/** Static payload types of RFC 3551 section 6. */
export const pcmu = 0;
export const pcma = 8;
export type G711 = typeof pcmu | typeof pcma;

/** Samples of 16 bits as one byte each (ITU-T G.711). */
export function encode(samples: Int16Array, codec: G711): Buffer {
  const toByte = codec === pcmu ? toMuLaw : toALaw;
  return Buffer.from(Uint8Array.from(samples, toByte));
}

export function decode(bytes: Buffer, codec: G711): Int16Array {
  const table = decoded[codec];
  const samples = new Int16Array(bytes.length);
  for (let index = 0; index < bytes.length; index++) {
    samples[index] = table[bytes[index] as number] as number;
  }
  return samples;
}

const muLawBias = 0x84;
const muLawClip = 8158;

function toMuLaw(sample: number): number {
  const sign = sample < 0 ? 0x80 : 0;
  // Of 14 bits.
  const magnitude = Math.min(Math.abs(sample >> 2), muLawClip) + muLawBias / 4;
  const exponent = Math.max(0, 26 - Math.clz32(magnitude));
  const mantissa = (magnitude >> (exponent + 1)) & 0x0f;
  return ~(sign | (exponent << 4) | mantissa) & 0xff;
}

function fromMuLaw(byte: number): number {
  const bits = ~byte & 0xff;
  const exponent = (bits >> 4) & 7;
  const magnitude = ((((bits & 0x0f) << 3) + muLawBias) << exponent) - muLawBias;
  return (bits & 0x80) !== 0 ? -magnitude : magnitude;
}

function toALaw(sample: number): number {
  const sign = sample < 0 ? 0 : 0x80;
  const magnitude = Math.min(sample < 0 ? ~sample : sample, 0x7f_ff) >> 3;
  const exponent = Math.max(0, 27 - Math.clz32(magnitude));
  const mantissa = (exponent < 2 ? magnitude >> 1 : magnitude >> exponent) & 0x0f;
  return (sign | (exponent << 4) | mantissa) ^ 0x55;
}

function fromALaw(byte: number): number {
  const bits = byte ^ 0x55;
  const exponent = (bits >> 4) & 7;
  const mantissa = ((bits & 0x0f) << 4) + 8;
  const magnitude = exponent === 0 ? mantissa : (mantissa + 0x1_00) << (exponent - 1);
  return (bits & 0x80) !== 0 ? magnitude : -magnitude;
}

const allBytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
/** What each byte is as a sample. */
const decoded: Readonly<Record<G711, Int16Array>> = {
  [pcmu]: Int16Array.from(allBytes, fromMuLaw),
  [pcma]: Int16Array.from(allBytes, fromALaw),
};
