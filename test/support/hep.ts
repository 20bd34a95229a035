/** A HEP3 packet, read as the specification has it, by other code than what wrote it. */
export function readHep(packet: Buffer): ReadonlyMap<number, Buffer> {
  if (packet.subarray(0, 4).toString('latin1') !== 'HEP3' || packet.readUInt16BE(4) !== packet.length) {
    throw new Error('no HEP3 packet, or of another length than it says');
  }
  const chunks = new Map<number, Buffer>();
  for (let at = 6; at < packet.length; ) {
    const [vendor, type, length] = [0, 2, 4].map((offset) => packet.readUInt16BE(at + offset)) as [
      number,
      number,
      number,
    ];
    if (vendor !== 0 || length < 6 || at + length > packet.length || chunks.has(type)) {
      throw new Error(`a chunk at ${at} of vendor ${vendor}, type ${type}, length ${length}`);
    }
    chunks.set(type, packet.subarray(at + 6, at + length));
    at += length;
  }
  return chunks;
}

export const textOf = (chunks: ReadonlyMap<number, Buffer>, type: number) =>
  chunks.get(type)?.toString() ?? '';
