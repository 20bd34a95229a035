/**
 * Keys and values are byte strings. Inside the server they are JavaScript strings with one char (0–255) per byte:
 * such strings compare bytewise with `<`, hash as map keys, cost far less memory than a Buffer each, and never
 * pin the request buffer they were cut from.
 */
export type ByteString = string;

export const fromWire = (bytes: Buffer): ByteString => bytes.toString('latin1');

export const toWire = (text: ByteString): Buffer => Buffer.from(text, 'latin1');
