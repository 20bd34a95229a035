/** A member as etcd lists it. */
export interface ListedMember {
  readonly ID: string;
  readonly clientURLs: readonly string[];
  readonly isLearner?: boolean;
}

/** More members than any cluster has. */
const maxMembers = 64;

/**
 * Where the members of etcd are reached: at the endpoints that are configured, and where etcd says that others are. What
 * etcd says may be no use here: addresses of another network, or of the host that says so. So the configured ones come
 * first and stay, and a member that is reached by one of them is not looked for elsewhere.
 */
export class Endpoints {
  readonly #configured: readonly string[];
  readonly #isSecure: boolean;
  readonly #isLocal: boolean;
  /** Member ids by configured endpoint. */
  readonly #reached = new Map<string, string>();
  #followed: readonly string[] = [];

  /** @param configured at least one */
  constructor(configured: readonly string[]) {
    this.#configured = configured;
    this.#isSecure = configured.some((endpoint) => endpoint.startsWith('https://'));
    this.#isLocal = configured.some((endpoint) => isLoopback(hostOf(endpoint)));
  }

  get configured(): readonly string[] {
    return this.#configured;
  }

  get all(): readonly string[] {
    return [...this.#configured, ...this.#followed];
  }

  /** The one to ask when this one has failed. */
  after(endpoint: string): string {
    const { all } = this;
    return all[(all.indexOf(endpoint) + 1) % all.length] as string;
  }

  /** A member has answered there. */
  reached(endpoint: string, memberId: string): void {
    if (this.#configured.includes(endpoint)) {
      this.#reached.set(endpoint, memberId);
    }
  }

  /** Nobody answers there: the member that did is looked for where etcd says. */
  unreached(endpoint: string): void {
    this.#reached.delete(endpoint);
  }

  /** @param members what etcd says its members are */
  follow(members: readonly ListedMember[]): void {
    const reached = new Set(this.#reached.values());
    const known = new Set(this.#configured.map(addressOf));
    // A learner answers no more than that it is one, until it is promoted.
    const voters = members.filter(({ ID, isLearner }) => !isLearner && !reached.has(ID));
    const urls = voters.flatMap(({ clientURLs }) => clientURLs).filter((url) => this.#isOfUse(url));
    this.#followed = [...new Set(urls)].filter((url) => !known.has(addressOf(url))).slice(0, maxMembers);
  }

  /** Certificates and passwords must not go where TLS is not, nor to whatever runs on this host. */
  #isOfUse(text: string): boolean {
    const protocol = this.#isSecure ? 'https://' : 'http://';
    if (!URL.canParse(text) || !text.startsWith(protocol)) {
      return false;
    }
    const host = hostOf(text);
    return !/^(0\.0\.0\.0|\[::\])$/.test(host) && (this.#isLocal || !isLoopback(host));
  }
}

const withScheme = (endpoint: string) => (endpoint.includes('://') ? endpoint : `http://${endpoint}`);

function addressOf(endpoint: string): string {
  const text = withScheme(endpoint);
  return URL.canParse(text) ? new URL(text).host : text;
}

function hostOf(endpoint: string): string {
  const text = withScheme(endpoint);
  return URL.canParse(text) ? new URL(text).hostname : '';
}

function isLoopback(host: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(host);
}
