import { decode, pcma, pcmu } from './g711.js';

/** Of a telephone, and of G.711. */
export const sampleRate = 8000;

/** Of PCM. */
export const sampleBytes = 2;
const headerBytes = 44;
/** Sizes have 32 bits, and that of the whole file leaves out its first 8 bytes. */
export const maxSoundBytes = 0xff_ff_ff_ff - (headerBytes - 8) - 3;

/** Formats of the WAVE registry (RFC 2361). */
const formats = { pcm: 1, aLaw: 6, muLaw: 7 } as const;

interface Format {
  readonly code: number;
  readonly channels: number;
  readonly rate: number;
  readonly bits: number;
}

/**
 * The sound of a wav file, as 8,000 samples of 16 bits a second; several channels are mixed.
 * @throws Error if it is another kind of file, or has another rate or coding than PCM of 16 bits, A-law or µ-law
 */
export function samplesOf(file: Buffer): Int16Array {
  if (file.toString('latin1', 0, 4) !== 'RIFF' || file.toString('latin1', 8, 12) !== 'WAVE') {
    throw new Error('not a wav file');
  }
  let format: Format | undefined;
  for (let at = 12; at + 8 <= file.length; ) {
    const name = file.toString('latin1', at, at + 4);
    const bytes = file.readUInt32LE(at + 4);
    const body = file.subarray(at + 8, at + 8 + bytes);
    if (name === 'fmt ' && body.length >= 16) {
      format = {
        code: body.readUInt16LE(0),
        channels: body.readUInt16LE(2),
        rate: body.readUInt32LE(4),
        bits: body.readUInt16LE(14),
      };
    } else if (name === 'data' && format) {
      return mixed(decoded(body, format), format.channels);
    }
    // Chunks begin at even offsets.
    at += 8 + bytes + (bytes % 2);
  }
  throw new Error('a wav file without sound');
}

function decoded(data: Buffer, { code, rate, bits, channels }: Format): Int16Array {
  if (rate !== sampleRate || channels < 1 || channels > 2) {
    throw new Error(`${rate} Hz and ${channels} channels: allowed are ${sampleRate} Hz and 1 or 2 channels`);
  }
  if (code === formats.pcm && bits === 16) {
    return Int16Array.from({ length: data.length >> 1 }, (_, index) => data.readInt16LE(2 * index));
  }
  if (code === formats.aLaw || code === formats.muLaw) {
    return decode(data, code === formats.aLaw ? pcma : pcmu);
  }
  throw new Error(`format ${code} of ${bits} bits: allowed are PCM of 16 bits, A-law and µ-law`);
}

function mixed(samples: Int16Array, channels: number): Int16Array {
  if (channels === 1) {
    return samples;
  }
  const length = samples.length >> 1;
  return Int16Array.from({ length }, (_, index) => {
    const [left = 0, right = 0] = samples.subarray(2 * index, 2 * index + 2);
    return (left + right) >> 1;
  });
}

/** What a file begins with that has so many bytes of sound after it: PCM of 16 bits, or µ-law. */
export function wavHeader(channels: number, bytes: number, coding: 'pcm' | 'muLaw' = 'pcm'): Buffer {
  const bytesOfSample = coding === 'pcm' ? sampleBytes : 1;
  const frameBytes = channels * bytesOfSample;
  const header = Buffer.alloc(headerBytes);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(headerBytes - 8 + bytes, 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(formats[coding], 20);
  header.writeUInt16LE(channels, 22);
  header.writeUInt32LE(sampleRate, 24);
  header.writeUInt32LE(sampleRate * frameBytes, 28);
  header.writeUInt16LE(frameBytes, 32);
  header.writeUInt16LE(8 * bytesOfSample, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(bytes, 40);
  return header;
}
