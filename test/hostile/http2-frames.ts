/** Frames of HTTP/2 (RFC 9113 section 4) and headers of HPACK (RFC 7541), for peers that no client library would be. */

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** RFC 9113 section 6. */
export const frameType = {
  data: 0,
  headers: 1,
  resetStream: 3,
  settings: 4,
  ping: 6,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flag = { endStream: 1, ack: 1, endHeaders: 4 } as const;

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt8(flags, 4);
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** Literal fields that no table keeps (RFC 7541 section 6.2.2). */
function headerBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.of(0), ...[name, value].map((each) => hpackString(each))]),
  );
}

/** Of a call of a gRPC method. */
export function requestHeaders(path: string, more: readonly (readonly [string, string])[] = []): Buffer {
  return headerBlock([
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'replica'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
    ...more,
  ]);
}

/** A message with gRPC's prefix: not compressed, and its length. */
export function grpcMessage(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** A whole unary call. */
export function call(stream: number, path: string, message: Uint8Array): Buffer {
  return Buffer.concat([
    frame(frameType.headers, flag.endHeaders, stream, requestHeaders(path)),
    frame(frameType.data, flag.endStream, stream, grpcMessage(message)),
  ]);
}

/** A call whose end never comes. */
export function unfinishedCall(stream: number, path: string): Buffer {
  return frame(frameType.headers, flag.endHeaders, stream, requestHeaders(path));
}

/** RFC 7541 section 5: a length with a prefix of 7 bits, and the octets without Huffman coding. */
function hpackString(text: string): Buffer {
  const octets = Buffer.from(text, 'latin1');
  const length: number[] = [];
  if (octets.length < 127) {
    length.push(octets.length);
  } else {
    length.push(127);
    let rest = octets.length - 127;
    for (; rest >= 128; rest >>= 7) {
      length.push((rest & 127) | 128);
    }
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), octets]);
}
