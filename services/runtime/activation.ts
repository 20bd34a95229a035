/** The first descriptor that systemd passes. */
const firstDescriptor = 3;

/**
 * Descriptors of sockets that a supervisor opened for this process (sd_listen_fds(3)). The supervisor keeps them open
 * while this process restarts, so that datagrams wait instead of being refused.
 * @param pid of this process: sockets that were passed to another process do not count
 */
export function passedSockets({ LISTEN_PID, LISTEN_FDS }: NodeJS.ProcessEnv, pid: number): number[] {
  const count = Number(LISTEN_FDS);
  if (LISTEN_PID !== String(pid) || !Number.isInteger(count) || count < 1) {
    return [];
  }
  return Array.from({ length: count }, (_, i) => firstDescriptor + i);
}
