export interface WavOptions {
  readonly samples?: readonly number[];
  /** In place of samples of 16 bits. */
  readonly data?: Buffer;
  readonly format?: number;
  readonly channels?: number;
  readonly rate?: number;
  readonly bits?: number;
  /** A chunk before the sound. */
  readonly before?: Buffer;
}

/** By default PCM of 16 bits, 8,000 Hz, one channel. */
export function wavFile(options: WavOptions): Buffer {
  const {
    samples = [],
    format = 1,
    channels = 1,
    rate = 8000,
    bits = 16,
    before = Buffer.alloc(0),
  } = options;
  const data = options.data ?? Buffer.from(Int16Array.from(samples).buffer);
  const head = Buffer.alloc(36);
  head.write('RIFF', 0, 'latin1');
  head.writeUInt32LE(36 + before.length + data.length, 4);
  head.write('WAVEfmt ', 8, 'latin1');
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(format, 20);
  head.writeUInt16LE(channels, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE((rate * channels * bits) / 8, 28);
  head.writeUInt16LE((channels * bits) / 8, 32);
  head.writeUInt16LE(bits, 34);
  const chunk = Buffer.alloc(8);
  chunk.write('data', 0, 'latin1');
  chunk.writeUInt32LE(data.length, 4);
  return Buffer.concat([head, before, chunk, data]);
}
