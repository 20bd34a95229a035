/**
 * Bencode, the serialization inside the ng protocol: `i42e`, `4:spam`, `l…e`, `d…e`.
 *
 * Strings: bytes that are valid UTF-8 decode to a JavaScript string, all others to a Buffer, so that
 * nothing is lost and callers compare ordinary strings. Integers must be safe ones.
 *
 * Dictionaries: keys come in any order (rtpengine and the SIP proxies do not sort), and of a key that
 * comes twice the first value counts, which is what rtpengine does; refusing it would break a proxy
 * script that names a flag twice. Keys are written sorted, as the format wants it.
 */
export type BencodeValue = number | string | Buffer | BencodeValue[] | BencodeDictionary;
export interface BencodeDictionary {
  [key: string]: BencodeValue;
}

export interface BencodeLimits {
  /** Nested lists and dictionaries; an rtpengine `query` reply needs 8. */
  readonly maxDepth: number;
  /** Longest input; a UDP datagram cannot carry more. */
  readonly maxBytes: number;
}

export const bencodeLimits: BencodeLimits = { maxDepth: 32, maxBytes: 65_535 };

export class BencodeError extends Error {
  override readonly name = 'BencodeError';

  constructor(
    reason: string,
    /** Where in the input (or in the output so far) it went wrong, in bytes. */
    readonly offset: number,
  ) {
    super(`${reason} at byte ${offset}`);
  }
}

/** An empty dictionary without a prototype: a key from the network may be `__proto__`. */
export function emptyDictionary(): BencodeDictionary {
  return Object.create(null) as BencodeDictionary;
}

export function isDictionary(value: BencodeValue | undefined): value is BencodeDictionary {
  return typeof value === 'object' && !Array.isArray(value) && !Buffer.isBuffer(value);
}

/** Decodes exactly one value; bytes after it are an error. Throws only BencodeError. */
export function decode(input: Buffer, limits: BencodeLimits = bencodeLimits): BencodeValue {
  if (input.length > limits.maxBytes) {
    throw new BencodeError(`input of ${input.length} bytes, at most ${limits.maxBytes} allowed`, 0);
  }
  const reader = new Reader(input, limits.maxDepth);
  const value = reader.value(0);
  if (reader.offset < input.length) {
    throw new BencodeError('trailing bytes', reader.offset);
  }
  return value;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const COLON = 0x3a;
const MINUS = 0x2d;
const LETTER_D = 0x64;
const LETTER_E = 0x65;
const LETTER_I = 0x69;
const LETTER_L = 0x6c;

class Reader {
  offset = 0;

  constructor(
    private readonly input: Buffer,
    private readonly maxDepth: number,
  ) {}

  value(depth: number): BencodeValue {
    const byte = this.input[this.offset];
    if (byte === undefined) {
      throw new BencodeError('truncated', this.offset);
    }
    if (byte >= DIGIT_0 && byte <= DIGIT_9) {
      return this.text();
    }
    if (byte === LETTER_I) {
      return this.integer();
    }
    if (byte !== LETTER_D && byte !== LETTER_L) {
      throw new BencodeError('unknown type', this.offset);
    }
    if (depth >= this.maxDepth) {
      throw new BencodeError(`nested deeper than ${this.maxDepth}`, this.offset);
    }
    this.offset++;
    return byte === LETTER_D ? this.dictionary(depth + 1) : this.list(depth + 1);
  }

  private list(depth: number): BencodeValue[] {
    const items: BencodeValue[] = [];
    while (!this.end()) {
      items.push(this.value(depth));
    }
    return items;
  }

  private dictionary(depth: number): BencodeDictionary {
    const dictionary = emptyDictionary();
    while (!this.end()) {
      const at = this.offset;
      const byte = this.input[at];
      if (byte === undefined || byte < DIGIT_0 || byte > DIGIT_9) {
        throw new BencodeError(byte === undefined ? 'truncated' : 'key is not a string', at);
      }
      const key = this.text();
      if (typeof key !== 'string') {
        throw new BencodeError('key is not UTF-8', at);
      }
      const value = this.value(depth);
      if (!(key in dictionary)) {
        dictionary[key] = value;
      }
    }
    return dictionary;
  }

  private end(): boolean {
    if (this.input[this.offset] !== LETTER_E) {
      return false;
    }
    this.offset++;
    return true;
  }

  private integer(): number {
    const at = this.offset++;
    const negative = this.input[this.offset] === MINUS;
    if (negative) {
      this.offset++;
    }
    const value = this.digits(LETTER_E, at);
    if (negative && value === 0) {
      throw new BencodeError('negative zero', at);
    }
    return negative ? -value : value;
  }

  private text(): string | Buffer {
    const at = this.offset;
    const length = this.digits(COLON, at);
    if (length > this.input.length - this.offset) {
      throw new BencodeError('string longer than the input', at);
    }
    const start = this.offset;
    this.offset += length;
    // Nearly all text is ASCII, which needs neither a decoder nor a view of its bytes.
    if (this.isAscii(start)) {
      return this.input.toString('latin1', start, this.offset);
    }
    const bytes = this.input.subarray(start, this.offset);
    try {
      return utf8.decode(bytes);
    } catch {
      return bytes;
    }
  }

  /** From `start` to where reading has come. */
  private isAscii(start: number): boolean {
    for (let i = start; i < this.offset; i++) {
      if ((this.input[i] as number) > 0x7f) {
        return false;
      }
    }
    return true;
  }

  /** Decimal digits up to the terminator; no leading zero, so each number has one spelling. */
  private digits(terminator: number, at: number): number {
    const first = this.offset;
    let value = 0;
    for (;;) {
      const byte = this.input[this.offset];
      if (byte === undefined) {
        throw new BencodeError('truncated', this.offset);
      }
      this.offset++;
      if (byte === terminator) {
        break;
      }
      if (byte < DIGIT_0 || byte > DIGIT_9) {
        throw new BencodeError('not a digit', this.offset - 1);
      }
      value = value * 10 + (byte - DIGIT_0);
      if (value > Number.MAX_SAFE_INTEGER) {
        throw new BencodeError('number too large', at);
      }
    }
    const digits = this.offset - 1 - first;
    if (digits === 0) {
      throw new BencodeError('number without digits', at);
    }
    if (digits > 1 && this.input[first] === DIGIT_0) {
      throw new BencodeError('leading zero', at);
    }
    return value;
  }
}

/** Encodes one value. Throws BencodeError for what bencode cannot say: fractions, undefined, cycles. */
export function encode(value: BencodeValue, limits: BencodeLimits = bencodeLimits): Buffer {
  const writer = new Writer(limits.maxDepth);
  writer.value(value, 0);
  return Buffer.concat(writer.chunks, writer.length);
}

class Writer {
  readonly chunks: Buffer[] = [];
  length = 0;

  constructor(private readonly maxDepth: number) {}

  value(value: BencodeValue, depth: number): void {
    if (typeof value === 'string') {
      this.text(Buffer.from(value, 'utf8'));
    } else if (Buffer.isBuffer(value)) {
      this.text(value);
    } else if (typeof value === 'number') {
      this.integer(value);
    } else if (typeof value === 'object' && value !== null) {
      this.container(value, depth);
    } else {
      throw new BencodeError(`cannot encode ${value === null ? 'null' : typeof value}`, this.length);
    }
  }

  private container(value: BencodeValue[] | BencodeDictionary, depth: number): void {
    if (depth >= this.maxDepth) {
      throw new BencodeError(`nested deeper than ${this.maxDepth}`, this.length);
    }
    if (Array.isArray(value)) {
      this.ascii('l');
      for (const item of value) {
        this.value(item, depth + 1);
      }
    } else {
      this.ascii('d');
      for (const key of Object.keys(value).sort()) {
        this.text(Buffer.from(key, 'utf8'));
        this.value(value[key] as BencodeValue, depth + 1);
      }
    }
    this.ascii('e');
  }

  private integer(value: number): void {
    if (!Number.isSafeInteger(value)) {
      throw new BencodeError(`not a safe integer: ${value}`, this.length);
    }
    // A template writes -0 as `0`, the only spelling that the format has for it.
    this.ascii(`i${value}e`);
  }

  private text(bytes: Buffer): void {
    this.ascii(`${bytes.length}:`);
    this.bytes(bytes);
  }

  private ascii(text: string): void {
    this.bytes(Buffer.from(text, 'latin1'));
  }

  private bytes(bytes: Buffer): void {
    this.chunks.push(bytes);
    this.length += bytes.length;
  }
}
