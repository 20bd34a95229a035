import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Kamailio } from '../support/kamailio.js';
import type { Scope } from '../support/process.js';
import { RtpParty } from '../support/rtp.js';
import { type Step, sippScenario } from '../support/sip-steps.js';
import { Sipp, type SippOptions } from '../support/sipp.js';
import type { CallsStage } from './calls-stage.js';

export interface PhoneOptions {
  readonly stage: Pick<CallsStage, 'directory'>;
  readonly steps: readonly Step[];
  /** The user who has the phone, or is called. */
  readonly user: string;
  /** The proxies on the way, from this phone on. */
  readonly through: readonly Pick<Kamailio, 'port'>[];
  readonly args?: readonly string[];
}

export interface CallerOptions extends PhoneOptions {
  readonly calls: number;
  /** Begins the Call-IDs. */
  readonly name?: string;
}

let phones = 0;

/** A sipp with the media of its calls, which all come and go at one port. */
export class Phone {
  private constructor(
    readonly sipp: Sipp,
    readonly audio: RtpParty,
  ) {}

  /** Calls the user. Its Call-IDs are NAME-1, NAME-2 and so on. */
  static async calling(scope: Scope, { calls, name, args = [], ...options }: CallerOptions): Promise<Phone> {
    const [first] = options.through;
    const own = name ?? `call-${phones}`;
    const ofCalls = ['-m', `${calls}`, '-r', '50', '-l', `${calls}`, '-cid_str', `${own}-%u`];
    const to = { host: '127.0.0.1', port: first?.port ?? 0 };
    return await Phone.#start(scope, 'caller', options, { to, args: [...ofCalls, ...args] });
  }

  /** Is called: the last proxy on its way rings it for this user. */
  static async ringing(
    scope: Scope,
    options: PhoneOptions & { readonly through: readonly Kamailio[] },
  ): Promise<Phone> {
    const phone = await Phone.#start(scope, 'callee', options, { args: options.args ?? [] });
    const [proxy] = options.through;
    if (proxy) {
      await register(proxy, options.user, phone.sipp.port);
    }
    return phone;
  }

  static async #start(
    scope: Scope,
    role: string,
    { stage, steps, user, through }: PhoneOptions,
    { to, args }: Pick<SippOptions, 'to' | 'args'>,
  ): Promise<Phone> {
    const name = `${role}-${++phones}`;
    const scenario = join(stage.directory, `${name}.xml`);
    await writeFile(scenario, sippScenario(name, steps));
    const audio = await RtpParty.open();
    scope.teardown(() => audio.close());
    const route = through.map(({ port }) => `<sip:127.0.0.1:${port};lr>`).join(', ');
    const sipp = await Sipp.start(scope, {
      name,
      directory: stage.directory,
      scenario,
      ...(to ? { to } : {}),
      args: ['-s', user, '-key', 'audio', `${audio.port}`, '-key', 'route', route, ...args],
    });
    return new Phone(sipp, audio);
  }

  /** Waits for these calls to have this note, or to fail. @returns how many have it; fewer if the rest takes too long */
  async reached(note: string, calls: number, timeoutMs = 20_000): Promise<number> {
    const count = () => this.sipp.noted(note).size;
    const isOver = () => count() + (this.sipp.result.failed || 0) >= calls;
    await this.sipp.process.waitUntil(isOver, note, timeoutMs).catch(() => undefined);
    return count();
  }

  /** Of the calls that have been answered. */
  get callIds(): string[] {
    return [...this.sipp.noted('INVITE').keys()];
  }

  /** Lets all its calls continue. */
  async go(note = 'INVITE'): Promise<void> {
    await this.sipp.go(this.sipp.noted(note).keys());
  }
}

/** The user has a phone at this port. */
export async function register(proxy: Kamailio, user: string, port: number): Promise<void> {
  const contact = `sip:${user}@127.0.0.1:${port}`;
  await proxy.ask('ul.add', 'location', user, contact, '0', '1.0', 's:0', '0', '0', '16383');
}
