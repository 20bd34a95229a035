import type { Socket } from 'node:net';

/** What every client sends first (RFC 9113 section 3.4). */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/**
 * Calls back when a connection has sent the preface of HTTP/2, which is left to be read. Closes the connection as soon as it
 * sends anything else: until it is known to be a client, it costs no HTTP/2 session.
 */
export function afterPreface(socket: Socket, proceed: () => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const close = () => socket.destroy();
  const read = () => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) {
      return;
    }
    seen = Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, preface.length);
    if (!seen.subarray(0, length).equals(preface.subarray(0, length))) {
      close();
    } else if (length === preface.length) {
      socket.off('readable', read);
      socket.off('end', close);
      socket.unshift(seen);
      proceed();
    }
  };
  socket.on('readable', read);
  socket.on('end', close);
}
