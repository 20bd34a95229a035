import { z } from 'zod';
import { isName } from '../../domain/name.js';
import { InvalidValue } from '../../etcd/invalid-value.js';

/**
 * How one kind of record is written to etcd and read back. One file per record; all values are JSON.
 *
 * Anything may be found in etcd, written by hand or by another version. `decode` therefore never throws: it ignores
 * fields that it does not know, checks those that it knows against their limits, and says what is wrong with a value
 * that does not fit. One invalid record affects no other.
 */
export interface Codec<T, Key = string> {
  /** @throws RangeError naming the field, if the record is outside the limits that `decode` checks */
  encode(record: T): Buffer;
  /** @param key identifies the record; for most kinds `<set>/<relay id>` */
  decode(key: Key, bytes: Buffer): T | InvalidValue;
}

/** More than the largest valid record takes: 16 labels and 16 media addresses of characters that JSON escapes. */
export const maxValueBytes = 128 * 1024;

/**
 * A codec of what a zod codec maps to and from JSON.
 * @param conflict what is wrong with a valid record under this key, if anything
 */
export function jsonCodec<T>(
  schema: z.ZodType<T, unknown>,
  conflict: (key: string, record: T) => string | undefined = () => undefined,
): Codec<T> {
  return {
    encode(record) {
      const { success, data, error } = z.safeEncode(schema, record);
      if (!success) {
        throw new RangeError(describe(error));
      }
      return Buffer.from(JSON.stringify(data));
    },
    decode(key, bytes) {
      if (bytes.length > maxValueBytes) {
        return new InvalidValue(`${bytes.length} bytes; at most ${maxValueBytes}`);
      }
      let json: unknown;
      try {
        json = JSON.parse(bytes.toString());
      } catch {
        return new InvalidValue('not JSON');
      }
      const { success, data, error } = z.safeDecode(schema, json);
      if (!success) {
        return new InvalidValue(describe(error));
      }
      const reason = conflict(key, data);
      return reason === undefined ? data : new InvalidValue(reason);
    },
  };
}

/** The first thing that is wrong, and where. */
function describe({ issues: [issue] }: z.ZodError): string {
  const path = issue?.path.join('.') ?? '';
  return `${path === '' ? 'value' : path}: ${issue?.message ?? 'invalid'}`;
}

/** A relay id or set name. */
export const name = z.string().refine(isName, { error: 'not a DNS label' });
/** A random id of one life of a media process. */
export const instanceId = z.string().min(1).max(64);
/** The end of the year 9999, ms since 1970. */
export const lastTimeMs = Date.UTC(10_000, 0) - 1;
/** ISO 8601 in etcd, milliseconds since 1970 in a record. */
export const time = z.codec(z.iso.datetime(), z.number().min(0).max(lastTimeMs), {
  decode: (text) => Date.parse(text),
  encode: (ms) => new Date(ms).toISOString(),
});
/** Text of at most so many characters. */
export const text = (limit: number) => z.string().max(limit);
/** At most so many entries, for example labels. */
export const stringMap = (entries: number) =>
  z
    .record(z.string().min(1).max(63), text(255))
    .refine((map) => Object.keys(map).length <= entries, { error: `more than ${entries} entries` });
