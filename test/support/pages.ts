import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { repository } from './repository.js';

/** Folders that hold pages, besides the top. */
const folders = ['.github', 'helm', 'proto', 'relay-node', 'services', 'test'];

/** A page in Markdown. */
export class Page {
  readonly text: string;

  /** @param path from the root of the repository */
  constructor(readonly path: string) {
    this.text = readFileSync(join(repository, path), 'utf8');
  }

  get lines(): readonly string[] {
    return this.text.trimEnd().split('\n');
  }

  /** The text without blocks of code. */
  get prose(): string {
    return this.text.replace(/^ {4}.*$/gm, '');
  }

  /** What it links to in the repository: the path from the root, and the heading if one is named. */
  get links(): readonly { readonly path: string; readonly heading: string | undefined }[] {
    return [...this.prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = '']) => {
      const [path = '', heading] = target.split('#');
      if (/^[a-z]+:/.test(target)) {
        return [];
      }
      return [{ path: path === '' ? this.path : normalize(join(dirname(this.path), path)), heading }];
    });
  }

  /** Its headings, as a code host names them in links. */
  get headings(): readonly string[] {
    return [...this.text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    );
  }

  /** What it shows as code within a line. */
  get codeSpans(): readonly string[] {
    return [...this.prose.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
  }

  /** Blocks of code that follow a link to the file that they are from. */
  get shownCode(): readonly { readonly path: string; readonly lines: readonly string[] }[] {
    const blocks = /\]\(([^)#]+)\)[^\n]*:\n\n((?: {4}[^\n]*\n|\n(?= {4}))+)/g;
    return [...this.text.matchAll(blocks)].map(([, path = '', block = '']) => ({
      path: normalize(join(dirname(this.path), path)),
      lines: block.trim().split('\n'),
    }));
  }

  /** The cells of the lines of all its tables. */
  get rows(): readonly (readonly string[])[] {
    return this.lines
      .filter((line) => line.startsWith('|'))
      .map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      );
  }
}

/** All pages of the repository. */
export const pages: readonly Page[] = [
  ...readdirSync(repository).filter((name) => name.endsWith('.md')),
  ...folders.flatMap((folder) =>
    readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name)),
  ),
].map((path) => new Page(path));

/** @throws Error if there is no such page */
export function pageAt(path: string): Page {
  const page = pages.find((each) => each.path === path);
  if (!page) {
    throw new Error(`there is no page ${path}`);
  }
  return page;
}
