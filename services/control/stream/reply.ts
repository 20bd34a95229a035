/** What the replies of several lines end with: those to `I`, and to `I` with the load of the machine. */
const lastLines = {
  plain: /(?:^|\n)packets transmitted:[^\n]*\n$/,
  withLoad: /(?:^|\n)average load:[^\n]*\n$/,
};

/** Whether nothing more comes of the reply to this rtpproxy command. */
export function isWhole(command: Buffer, reply: string): boolean {
  const [, modifiers] = /^\s*i([a-z]*)\s*$/i.exec(command.toString('latin1', 0, 16)) ?? [];
  if (modifiers === undefined || /^e/i.test(reply)) {
    return reply.endsWith('\n');
  }
  return (/l/i.test(modifiers) ? lastLines.withLoad : lastLines.plain).test(reply);
}
