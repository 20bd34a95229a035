/** systemd passes sockets from this descriptor on. */
const firstDescriptor = 3;

/**
 * Descriptors of sockets that were opened for this process (sd_listen_fds(3)): whoever opened them holds them while this
 * process restarts, so that what arrives meanwhile waits instead of being refused.
 * @param pid of this process: sockets that were passed to another one are none of ours
 */
export function passedSockets({ LISTEN_PID, LISTEN_FDS }: NodeJS.ProcessEnv, pid: number): number[] {
  const count = Number(LISTEN_FDS);
  if (LISTEN_PID !== String(pid) || !Number.isInteger(count) || count < 1) {
    return [];
  }
  return Array.from({ length: count }, (_, i) => firstDescriptor + i);
}
