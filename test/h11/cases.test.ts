// The wire cases of test/cases/h11, told in prose: played whole, byte by byte and in pieces of 3, 7 and 13.
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { H11Connection } from '../../src/h11/index.ts'
import type { Fields, H11Event, Role } from '../../src/http/index.ts'

const CASES = new URL('../cases/h11/', import.meta.url)

interface Case {
  readonly title: string
  readonly role: Role
  readonly lines: readonly string[]
}

/** `## title`, a paragraph with `Role: …`, an indented block. */
function casesOf(markdown: string): Case[] {
  return markdown
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const [title = '', ...rest] = section.split('\n')
      const role = /^Role: (client|server)\./m.exec(section)?.[1]
      if (role === undefined) throw new Error(`the case '${title}' names no role`)
      const lines = rest.filter((line) => line.startsWith('    ')).map((line) => line.slice(4))
      return { title, role: role as Role, lines }
    })
}

const ESCAPES: Readonly<Record<string, string>> = { r: '\r', n: '\n', t: '\t', '\\': '\\' }
function wire(text: string): string {
  return text
    .replace(/\{(\d+) × ([^}]*)\}/g, (_, n: string, repeated: string) => repeated.repeat(Number(n)))
    .replace(/\\(?:x([0-9a-f]{2})|([rnt\\]))/g, (_, hex?: string, letter?: string) =>
      hex === undefined ? (ESCAPES[letter ?? ''] ?? '') : String.fromCharCode(Number.parseInt(hex, 16)),
    )
}
const bytes = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0))
const latin1 = (data: Uint8Array): string => Buffer.from(data).toString('latin1')
/** Printable, as the cases are written. */
function shown(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replaceAll('\r', '\\r')
    .replaceAll('\n', '\\n')
    .replaceAll('\t', '\\t')
    .replace(/[^ -~]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

function lineOf(event: H11Event): string {
  switch (event.type) {
    case 'request': {
      const more = [
        event.expectContinue ? ' expects' : '',
        event.upgrade === undefined ? '' : ` upgrade=${event.upgrade}`,
      ]
      return `request ${event.method} ${event.target} ${event.framing}${more.join('')}${fieldsOf(event.headers, ['host'])}`
    }
    case 'informational':
      return `informational ${event.status}${fieldsOf(event.headers, [])}`
    case 'response':
      return `response ${event.status} ${event.framing}${fieldsOf(event.headers, [])}`
    case 'data':
      return `data ${shown(latin1(event.data))}`
    case 'chunk':
      return `chunk ${event.size}${event.extensions}`
    case 'end':
      return event.trailers === undefined ? 'end' : `end${fieldsOf(event.trailers, [])}`
    case 'switched':
      return `switched ${shown(latin1(event.leading))}`.trimEnd()
    case 'failed':
      return `failed ${event.fault.code} ${event.disposition}`
    case 'error':
      return `error ${event.fault.code} ${event.fault.status}`
    case 'draining':
    case 'closed':
      return `${event.type} ${event.reason}`
    default:
      return event.type
  }
}
/** Only fields that a case is about: those named x-… or what frames. */
function fieldsOf(fields: Fields, without: readonly string[]): string {
  return [...fields]
    .filter(([name]) => !without.includes(name) && (name.startsWith('x') || name === 'content-length'))
    .map(([name, value]) => ` [${name}: ${shown(value)}]`)
    .join('')
}

function play(one: Case, cuts: (n: number) => number[]): void {
  const limits: Record<string, number> = {}
  const lenient: Record<string, boolean> = {}
  const flags: Record<string, boolean> = {}
  let at = 0
  for (; /^(limit|lenient|option) /.test(one.lines[at] ?? ''); at++) {
    const [kind = '', name = '', , value] = (one.lines[at] as string).split(' ')
    if (kind === 'limit') limits[name] = Number(value)
    else (kind === 'lenient' ? lenient : flags)[name] = true
  }
  const machine = new H11Connection(one.role, { now: 0, limits, lenient, ...flags })
  let told: string[] = []
  const drain = (): void => {
    for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) {
      const line = lineOf(event)
      const last = told.at(-1)
      if (event.type === 'data' && last?.startsWith('data ') === true) told[told.length - 1] = last + line.slice(5)
      else told.push(line)
    }
  }
  while (at < one.lines.length) {
    const kind = (one.lines[at] as string)[0]
    const group: string[] = []
    do group.push((one.lines[at++] as string).slice(2))
    while (at < one.lines.length && kind !== '=' && one.lines[at]?.[0] === kind)
    switch (kind) {
      case '<': {
        const piece = bytes(wire(group.join('')))
        let from = 0
        for (const to of [...cuts(piece.length), piece.length]) {
          const lent = piece.slice(from, to)
          machine.receiveData(lent, 0)
          drain()
          lent.fill(0)
          from = to
        }
        break
      }
      case '=':
        act(machine, group[0] as string)
        drain()
        break
      case '!':
        expect(told).toEqual(group.filter((line) => line !== 'nothing'))
        told = []
        break
      case '>':
        expect(machine.takeOutput().map(latin1).map(shown).join('')).toBe(group.join(''))
        break
      case '?':
        for (const line of group) {
          const [name = '', value] = line.split(' = ')
          expect(String(machine[name as keyof H11Connection]), name).toBe(value)
        }
        break
      default:
        throw new Error(`'${group.join()}' is not a line of a case`)
    }
  }
  expect(told).toEqual([])
}

function act(machine: H11Connection, verb: string): void {
  const [name, first = '', second = '', third] = verb.split(' ')
  switch (name) {
    case 'ask': {
      const target = second === '' ? (first === 'CONNECT' ? 'a:1' : '/') : second
      const headers = third === undefined ? [] : [['Upgrade', third] as const]
      machine.sendRequest({ method: first, target, authority: 'a', headers }, { end: true })
      machine.takeOutput()
      return
    }
    case 'begin':
      machine.sendRequest({
        method: first,
        target: '/',
        authority: 'a',
        headers: [],
        content: { length: Number(second) },
      })
      machine.takeOutput()
      return
    case 'answer': {
      const exchange = (machine.snapshot() as { exchange: number }).exchange + (second === 'unread' ? 1 : 0)
      const headers = first === '101' ? [['Upgrade', 'x'] as const] : []
      machine.sendResponse(exchange, { status: Number(first), headers }, { end: true })
      return
    }
    case 'next':
      return machine.nextExchange()
    case 'close':
      return machine.close(0)
    case 'eof':
      return machine.receiveEof(0, first !== 'cut')
    default:
      throw new Error(`there is no verb '${verb}'`)
  }
}

const MANNERS: readonly (readonly [string, (n: number) => number[]])[] = [
  ['whole', () => []],
  ['byte by byte', (n) => Array.from({ length: Math.max(0, n - 1) }, (_, i) => i + 1)],
  ...[3, 7, 13].map((step): readonly [string, (n: number) => number[]] => [
    `every ${step}`,
    (n) => Array.from({ length: Math.floor((n - 1) / step) }, (_, i) => (i + 1) * step),
  ]),
]

const files = readdirSync(CASES).filter((file) => file !== 'README.md' && file.endsWith('.md'))
const all = files.map((file) => [file, casesOf(readFileSync(new URL(file, CASES), 'utf8'))] as const)

test('there are at least 250 cases, each with a title of its own', () => {
  const titles = all.flatMap(([, cases]) => cases.map(({ role, title }) => `${role}: ${title}`))
  expect(titles.length).toBeGreaterThanOrEqual(250)
  expect(new Set(titles).size).toBe(titles.length)
})

describe.each(all)('%s', (_, cases) => {
  test.each(cases.map((one) => [one.title, one] as const))('%s', (_title, one) => {
    for (const [, cuts] of MANNERS) play(one, cuts)
  })
})
