import { isIPv6 } from 'node:net';

/** An address as it is in packets: 4 or 16 bytes. A zone is left out. */
export function bytesOf(address: string): Buffer {
  return isIPv6(address) ? bytesOfIPv6(address) : Buffer.from(address.split('.').map(Number));
}

/** RFC 4291 section 2.2. */
function bytesOfIPv6(text: string): Buffer {
  const [address = ''] = text.split('%', 1);
  const [head = '', tail] = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, hexOfIPv4).split('::');
  const words = (part: string | undefined) => (part ? part.split(':') : []);
  const [before, after] = [words(head), words(tail)];
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0');
  const bytes = Buffer.alloc(16);
  for (const [index, word] of [...before, ...zeros, ...after].slice(0, 8).entries()) {
    bytes.writeUInt16BE(Number.parseInt(word, 16) & 0xff_ff, 2 * index);
  }
  return bytes;
}

function hexOfIPv4(_: string, ...bytes: string[]): string {
  const [a = 0, b = 0, c = 0, d = 0] = bytes.map(Number);
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
}
