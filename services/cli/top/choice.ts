/** What of the relays is shown, and in which order: what the keys change. */
export interface Choice {
  /** The heading of a column; undefined for trouble first. */
  sort: string | undefined;
  descending: boolean;
  filter: string;
  /** The filter is being typed. */
  typing: boolean;
  trouble: boolean;
  events: boolean;
  /** Rows above the first that is shown. */
  scroll: number;
}

export function newChoice(filter = ''): Choice {
  return {
    sort: undefined,
    descending: true,
    filter,
    typing: false,
    trouble: false,
    events: true,
    scroll: 0,
  };
}

const mostFilter = 64;
const pageRows = 10;
const ends = ['q', '\x03', '\x04'];
const up = ['\x1b[A', '\x1bOA', 'k'];
const down = ['\x1b[B', '\x1bOB', 'j'];
const pageUp = ['\x1b[5~'];
const pageDown = ['\x1b[6~', ' '];
const escapeKey = '\x1b';

/** One key as a terminal sends it: a sequence that begins with an escape, or one character. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a terminal sends
const key = /\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])|[\s\S]/gu;

/** @param sortable what rows can be sorted by, in the order of the columns @returns whether the keys end it */
export function press(choice: Choice, keys: string, sortable: readonly string[]): boolean {
  for (const each of keys.match(key) ?? []) {
    if (each === '\x03' || (!choice.typing && ends.includes(each))) {
      return true;
    }
    if (choice.typing) {
      type(choice, each);
    } else {
      command(choice, each, sortable);
    }
  }
  return false;
}

function type(choice: Choice, each: string): void {
  if (each === '\r' || each === '\n') {
    choice.typing = false;
  } else if (each === escapeKey) {
    choice.typing = false;
    choice.filter = '';
  } else if (each === '\x7f' || each === '\b') {
    choice.filter = [...choice.filter].slice(0, -1).join('');
  } else if (/^[^\p{C}]$/u.test(each) && choice.filter.length < mostFilter) {
    choice.filter += each;
  }
  choice.scroll = 0;
}

function command(choice: Choice, each: string, sortable: readonly string[]): void {
  if (each === 's' || each === 'S') {
    const orders = [undefined, ...sortable];
    const step = each === 's' ? 1 : orders.length - 1;
    choice.sort = orders[(orders.indexOf(choice.sort) + step) % orders.length];
    choice.scroll = 0;
  } else if (each === 'r') {
    choice.descending = !choice.descending;
  } else if (each === '/') {
    choice.typing = true;
  } else if (each === escapeKey) {
    choice.filter = '';
  } else if (each === 't') {
    choice.trouble = !choice.trouble;
    choice.scroll = 0;
  } else if (each === 'e') {
    choice.events = !choice.events;
  } else {
    const rows = up.includes(each)
      ? -1
      : down.includes(each)
        ? 1
        : pageUp.includes(each)
          ? -pageRows
          : pageDown.includes(each)
            ? pageRows
            : 0;
    choice.scroll = Math.max(0, choice.scroll + rows);
  }
}
