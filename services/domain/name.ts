import { invalidArgument } from './error.js';

export const defaultSet = 'default';

export const nameRule = "1-63 of a-z, 0-9 and '-', not '-' at either end";

const dnsLabel = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Relay ids and set names are DNS labels (RFC 1035 section 2.3.1, digits allowed first as in RFC 1123). */
export function isName(value: string): boolean {
  return dnsLabel.test(value);
}

/** @throws HoldfastError `invalid-argument` naming the field, if the value is no DNS label. */
export function parseName(field: string, value: string): string {
  if (isName(value)) {
    return value;
  }
  throw invalidArgument(field, value === '' ? 'is empty' : `${quote(value)} is not a DNS label`, nameRule);
}

/** For messages: the value as it came, cut to a length that fits a log line. */
export function quote(value: string, limit = 80): string {
  const text = JSON.stringify(value.length > limit ? value.slice(0, limit) : value);
  return value.length > limit ? `${text}… (${value.length} characters)` : text;
}
