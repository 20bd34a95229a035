/** One JSON value on one line, for programs. */
export function json(value: unknown): string {
  return JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? Number(each) : each));
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Ends the command silently when its output is closed, as in `holdfast bindings … | head`. */
export function exitOnClosedPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') {
      process.exit();
    }
    throw error;
  });
}

/** Resolves when everything that was printed has been taken. */
export async function flushOutput(): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => stream.write('', () => resolve()));
  }
}

/** `1 call`, `2 calls`, or `? calls` if the number is unknown. */
export function counted(count: number | undefined, noun: string): string {
  return `${count ?? '?'} ${noun}${count === 1 ? '' : 's'}`;
}

/** A time relative to now, in at most two units: `in 4m 10s`, `2m 3s ago`, `now`. */
export function relativeTime(at: Date | undefined, nowMs = Date.now()): string {
  if (!at) {
    return '-';
  }
  const seconds = Math.round((at.getTime() - nowMs) / 1000);
  if (seconds === 0) {
    return 'now';
  }
  return seconds > 0 ? `in ${duration(seconds)}` : `${duration(-seconds)} ago`;
}

function duration(seconds: number): string {
  const units: readonly (readonly [string, number])[] = [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ];
  const parts: string[] = [];
  let rest = seconds;
  for (const [unit, size] of units) {
    if (rest >= size && parts.length < 2) {
      parts.push(`${Math.floor(rest / size)}${unit}`);
    }
    rest %= size;
  }
  return parts.join(' ');
}

/** `16:03:11`, in the time zone of the machine. */
export function timeOfDay(at: Date): string {
  return [at.getHours(), at.getMinutes(), at.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
}
