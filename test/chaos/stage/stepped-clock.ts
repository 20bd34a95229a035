import { readFileSync } from 'node:fs';

/**
 * Loaded before anything else: sets the wall clock of this process forward by the number of ms in the file that
 * CHAOS_CLOCK_FILE names, which is read again and again. Monotonic time is left alone. A signal would end a process that is
 * just starting.
 */
const file = process.env['CHAOS_CLOCK_FILE'] ?? '';
const readPeriodMs = 200;
const RealDate = Date;
const now = RealDate.now.bind(RealDate);
let stepMs = 0;

const read = () => {
  stepMs = Number(readFileSync(file, 'utf8'));
};
read();
setInterval(read, readPeriodMs).unref();

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now() + stepMs] : args, newTarget),
  apply: () => new RealDate(now() + stepMs).toString(),
  get: (target, name, receiver) =>
    name === 'now' ? () => now() + stepMs : Reflect.get(target, name, receiver),
});
