import { type ErrorCode, errorCodes } from './errors.js';

/** A command as its sender wrote it: `UIEc0,8 CALL 192.0.2.1 4000 FROM;1`. Bytes are characters, as in Latin-1. */
export interface Command {
  readonly name: CommandName;
  /** What is joined to the letter, as it was written. */
  readonly modifiers: string;
  /** The words after that, up to the first sub-command. */
  readonly words: readonly string[];
  /** Whether commands are joined to it by `&&`. */
  readonly hasSubCommand: boolean;
}

/** Most words of a command, and bytes of a request; rtpproxy cuts what is longer. */
const limits = { words: 24, bytes: 8192 };

/** Least and most words after the letter. */
const wordCounts = {
  /** Begins a session, or changes the media of the party that its first tag names. */
  U: [4, 7],
  /** The media of the party that its second tag names. */
  L: [4, 5],
  /** Ends a session. */
  D: [2, 3],
  /** Plays a file. */
  P: [4, 5],
  /** Stops that. */
  S: [2, 3],
  /** Records all streams. */
  R: [2, 3],
  /** Records or copies one stream. */
  C: [3, 4],
  /** Stops that. */
  N: [2, 3],
  /** Counters of a stream. */
  Q: [2, 14],
  /** Counts of sessions and packets. */
  I: [0, 0],
  /** Counters by name. */
  G: [0, limits.words],
  /** Version, or with a date whether a capability is there. */
  V: [0, 1],
  /** Ends all sessions. */
  X: [0, 0],
} as const;
export type CommandName = keyof typeof wordCounts;

/** Commands that rtpproxy takes modifiers of, and those modifiers where this code answers it. */
const modifiersOf: Readonly<Partial<Record<CommandName, readonly [allowed: RegExp, error: ErrorCode]>>> = {
  I: [/^[bl]*$/i, errorCodes.infoModifier],
  G: [/^v*$/i, errorCodes.statisticsModifier],
  V: [/^f?$/i, errorCodes.modifiers],
  X: [/^$/, errorCodes.modifiers],
};

/** The command, or why rtpproxy refuses it. What only the relay can judge is left to it. */
export function readCommand(body: Buffer): Command | ErrorCode {
  if (body.length > limits.bytes) {
    return errorCodes.wordCount;
  }
  const text = body.toString('latin1');
  const [first = '', ...rest] = wordsOf(text);
  const border = rest.indexOf(subCommandMark);
  const words = border < 0 ? rest : rest.slice(0, border);
  if (first === '' || text.includes('\0') || words.length >= limits.words) {
    return errorCodes.syntax;
  }
  const name = first.charAt(0).toUpperCase();
  if (!isCommandName(name)) {
    return errorCodes.unknownCommand;
  }
  const command = { name, modifiers: first.slice(1), words, hasSubCommand: border >= 0 };
  return problemOf(command) ?? command;
}

/** What blanks separate. */
export function wordsOf(text: string): string[] {
  return text.split(/[ \t\r\n]+/).filter((word) => word !== '');
}

const subCommandMark = '&&';

function isCommandName(name: string): name is CommandName {
  return Object.hasOwn(wordCounts, name);
}

function problemOf({ name, modifiers, words, hasSubCommand }: Command): ErrorCode | undefined {
  const own = modifiersOf[name];
  if (own && !own[0].test(modifiers)) {
    return own[1];
  }
  // `V` alone asks for the version, `VF` for a capability.
  const [least, most] = name === 'V' ? [modifiers.length, modifiers.length] : wordCounts[name];
  if (words.length < least || words.length > most) {
    return errorCodes.wordCount;
  }
  return own && hasSubCommand ? errorCodes.subCommand : undefined;
}
