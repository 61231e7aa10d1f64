// Plays the wire cases of test/cases/h2/*.md: prose for people, blocks for this runner (test/cases/h2/README.md). Each is
// played with the peer's bytes whole, one by one and in pieces of 7.
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { LocalProtocolError, type H2Event, type LimitName, type Role } from '../../src/http/index.ts'
import {
  errorName,
  FLAG,
  FRAME,
  H2_ERROR,
  H2Connection,
  SETTINGS,
  type H2ErrorName,
  type SettingName,
} from '../../src/h2/index.ts'
import { HpackDecoder } from '../../src/h2/hpack/index.ts'
import {
  block,
  concat,
  drain,
  frame,
  GET,
  GET_HEAD,
  goaway,
  hex,
  latin1,
  NOTHING,
  OK,
  POST,
  PREFACE,
  reset,
  settings,
  SETTINGS_ACK,
  uint32,
  windowUpdate,
  written,
} from './support.ts'

interface Case {
  readonly title: string
  readonly header: string
  readonly lines: readonly string[]
}

const folder = new URL('../cases/h2/', import.meta.url)
const files = readdirSync(folder).filter((name) => name.endsWith('.md') && name !== 'README.md')

for (const file of files) {
  const cases = readCases(readFileSync(new URL(file, folder), 'utf8'))
  describe(file, () => {
    test('there are cases, each with a rule', () => {
      expect(cases.length).toBeGreaterThan(5)
      for (const { title, header } of cases) expect(`${title}: ${header}`).toMatch(/RFC \d+ §\d|security/)
    })
    test.each(cases.map((one) => [one.title, one] as const))('%s', (_, one) => {
      for (const piece of [Infinity, 1, 7]) play(one, piece)
    })
  })
}

function readCases(text: string): Case[] {
  return text
    .split(/^## /m)
    .slice(1)
    .map((part) => {
      const [title = '', ...rest] = part.split('\n')
      const code = rest.filter((line) => line.startsWith('    ')).map((line) => line.trim())
      return { title, header: rest.filter((line) => !line.startsWith('    ')).join(' '), lines: code }
    })
}

class Player {
  readonly machine: H2Connection
  /** How many bytes of the peer come at a time. */
  readonly piece: number
  readonly decoder = new HpackDecoder()
  now = 0
  events: string[] = []
  wire: string[] = []

  constructor(role: Role, raw: boolean, piece: number, options: Record<string, number>, own: Record<string, number>) {
    this.piece = piece
    this.machine = new H2Connection(role, { now: 0, limits: options, settings: own, frameEvents: true })
    if (raw) return
    this.machine.receiveData(concat([role === 'server' ? PREFACE : NOTHING, settings(), SETTINGS_ACK]), 0)
    this.collect()
    this.events = []
    this.wire = []
  }

  collect(): void {
    for (const event of drain(this.machine)) this.note(eventLine(event))
    for (const line of written(this.machine, this.decoder)) this.wire.push(line)
    for (const event of drain(this.machine)) this.note(eventLine(event))
  }

  note(line: string): void {
    const joined = /^data (\d+) (\d+)$/.exec(line)
    const last = /^data (\d+) (\d+)$/.exec(this.events.at(-1) ?? '')
    if (joined !== null && last?.[1] === joined[1]) {
      this.events[this.events.length - 1] = `data ${joined[1]} ${Number(last?.[2]) + Number(joined[2])}`
    } else this.events.push(line)
  }
}

function play({ title, header, lines }: Case, piece: number): void {
  const role: Role = /\bserver\b/i.test(/Role: (\w+)/.exec(header)?.[1] ?? '') ? 'server' : 'client'
  const options = pairsAfter(/Limits: ([^.]*)\./.exec(header)?.[1])
  const own = pairsAfter(/Settings: ([^.]*)\./.exec(header)?.[1])
  const player = new Player(role, header.includes('Raw.'), piece, options, own)
  let i = 0
  while (i < lines.length) {
    const sign = (lines[i] as string)[0]
    const group: string[] = []
    while (i < lines.length && (lines[i] as string)[0] === sign) group.push((lines[i++] as string).slice(1).trim())
    if (sign === '<') for (const line of group) receive(player, line)
    else if (sign === '@') for (const line of group) act(player, line)
    else if (sign === '>') expectLines(title, player.wire.splice(0), group)
    else if (sign === '!') expectLines(title, player.events.splice(0), group)
    else throw new Error(`${title}: ${group.join()} is no step`)
  }
}

function expectLines(title: string, seen: readonly string[], expected: readonly string[]): void {
  const wanted = expected.length === 1 && expected[0] === 'nothing' ? [] : expected
  expect(seen, title).toEqual(wanted)
}

function pairsAfter(text: string | undefined): Record<string, number> {
  if (text === undefined) return {}
  return Object.fromEntries(
    text.split(', ').map((pair) => [pair.split(' ')[0] as LimitName, Number(pair.split(' ')[1])]),
  )
}

function receive(player: Player, line: string): void {
  const [text = '', times = '1'] = line.split(' × ')
  const bytes = bytesOf(text)
  for (let i = 0; i < Number(times); i++) {
    for (let at = 0; at < bytes.length; at += player.piece) {
      const lent = bytes.slice(at, at + player.piece)
      player.machine.receiveData(lent, player.now)
      for (const event of drain(player.machine)) player.note(eventLine(event))
      lent.fill(0xee)
    }
  }
  player.collect()
}

const SHORTHAND: Readonly<Record<string, readonly (readonly [string, string])[]>> = { GET, POST, 200: OK }

function fieldsOf(words: readonly string[]): Uint8Array {
  const fields = words.flatMap((word) => {
    if (word in SHORTHAND) return SHORTHAND[word] as readonly (readonly [string, string])[]
    const at = word.indexOf('=', 1)
    const decode = (part: string): string =>
      part.replaceAll(/\\x([0-9a-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    return [[decode(word.slice(0, at)), decode(word.slice(at + 1))] as const]
  })
  return block(fields)
}

function bytesOf(text: string): Uint8Array {
  const words = text.split(' ')
  const flagged = (flag: string): boolean => {
    const at = words.indexOf(flag)
    if (at >= 0) words.splice(at, 1)
    return at >= 0
  }
  const end = flagged('END_STREAM') ? FLAG.END_STREAM : 0
  const ack = flagged('ACK') ? FLAG.ACK : 0
  const open = flagged('NO_END_HEADERS')
  const [name = '', ...rest] = words
  const id = Number(rest[0])
  const code = (word = ''): number => (word in H2_ERROR ? H2_ERROR[word as H2ErrorName] : Number(word))
  switch (name) {
    case 'PREFACE':
      return PREFACE
    case 'TEXT':
      return latin1(rest.join(' ').replaceAll('\\r\\n', '\r\n'))
    case 'RAW':
      return hex(rest.join(''))
    case 'FRAME':
      return frame(Number(rest[0]), Number(rest[1]), Number(rest[2]), hex(rest[3] ?? ''))
    case 'HEADERS':
      return frame(FRAME.HEADERS, end | (open ? 0 : FLAG.END_HEADERS), id, fieldsOf(rest.slice(1)))
    case 'CONTINUATION':
      return frame(FRAME.CONTINUATION, open ? 0 : FLAG.END_HEADERS, id, fieldsOf(rest.slice(1)))
    case 'BLOCK':
      return frame(FRAME.HEADERS, end | FLAG.END_HEADERS, id, hex(rest[1] ?? ''))
    case 'DATA':
      return frame(FRAME.DATA, end, id, new Uint8Array(Number(rest[1])))
    case 'PADDED': {
      const payload = concat([new Uint8Array([Number(rest[2])]), new Uint8Array(Number(rest[1]) + Number(rest[2]))])
      return frame(FRAME.DATA, end | FLAG.PADDED, id, payload)
    }
    case 'SETTINGS':
      if (ack !== 0) return SETTINGS_ACK
      return settings(
        ...rest.map((word): [number, number] => {
          const [key = '', value] = word.split('=')
          return [key in SETTINGS ? SETTINGS[key as SettingName].id : Number(key), Number(value)]
        }),
      )
    case 'PING':
      return frame(FRAME.PING, ack, 0, latin1(rest[0] ?? '12345678'))
    case 'GOAWAY':
      return goaway(id, code(rest[1]), rest[2])
    case 'WINDOW_UPDATE':
      return windowUpdate(id, Number(rest[1]))
    case 'RST_STREAM':
      return reset(id, code(rest[1]))
    case 'PRIORITY':
      return frame(FRAME.PRIORITY, 0, id, new Uint8Array(Number(rest[1] ?? 5)))
    case 'PRIORITY_UPDATE':
      return frame(FRAME.PRIORITY_UPDATE, 0, 0, concat([uint32(id), latin1(rest[1] ?? '')]))
    case 'PUSH_PROMISE':
      return frame(FRAME.PUSH_PROMISE, FLAG.END_HEADERS, id, concat([uint32(Number(rest[1])), block(GET)]))
    default:
      throw new Error(`no such frame: ${text}`)
  }
}

function act(player: Player, line: string): void {
  const words = line.split(' ')
  const refused = words[0] === 'refused'
  if (refused) words.shift()
  const run = (): void => perform(player, words)
  if (refused) expect(run, line).toThrow(LocalProtocolError)
  else run()
  if (words.at(-1) !== 'quietly') player.collect()
}

function perform(player: Player, words: readonly string[]): void {
  const { machine } = player
  const [verb = '', ...rest] = words
  const end = rest.includes('end')
  const id = Number(rest[0])
  const headers = rest
    .filter((word) => /^[a-z:][\w:-]*=/i.test(word))
    .map((word): [string, string] => {
      const [name = '', ...value] = word.split('=')
      return [name, value.join('=')]
    })
  switch (verb) {
    case 'request': {
      const [method = 'GET', target = '/'] = rest
      const protocol = headers.find(([name]) => name === ':protocol')?.[1]
      const own = headers.filter(([name]) => name !== ':protocol')
      return void machine.sendRequest({ ...GET_HEAD, method, target, headers: own, protocol }, { end })
    }
    case 'inform':
      return machine.sendInformational(id, Number(rest[1]), headers)
    case 'respond':
      return machine.sendResponse(id, { status: Number(rest[1]), headers }, { end })
    case 'send':
      return void machine.sendData(id, new Uint8Array(Number(rest[1])), end)
    case 'end':
      return machine.end(id, headers.length === 0 ? undefined : headers)
    case 'consume':
      return machine.consume(id, Number(rest[1]))
    case 'cancel':
      return machine.cancel(
        id,
        rest[1] === undefined || rest[1] === 'quietly' ? undefined : H2_ERROR[rest[1] as H2ErrorName],
      )
    case 'close':
      return machine.close(player.now)
    case 'abort':
      return machine.abort(rest[0] === undefined ? undefined : H2_ERROR[rest[0] as H2ErrorName])
    case 'ping':
      return machine.ping(latin1(rest[0] ?? ''), player.now)
    case 'settings':
      return machine.updateSettings(
        Object.fromEntries(headers.map(([name, value]) => [name, Number(value)])),
        player.now,
      )
    case 'eof':
      return machine.receiveEof(player.now)
    case 'time':
      player.now += Number(rest[0])
      return
    case 'timeout':
      expect(machine.nextTimeout()).toBeDefined()
      player.now = Math.max(player.now, machine.nextTimeout() as number)
      return machine.handleTimeout(player.now)
    case 'capacity':
      return expect(machine.capacity).toBe(Number(rest[0]))
    case 'active':
      return expect(machine.active).toBe(Number(rest[0]))
    case 'window':
      return expect(machine.sendWindow(id)).toBe(Number(rest[1]))
    case 'closed':
      return expect([machine.closed, machine.readState, machine.capacity]).toEqual([true, 'done', 0])
    default:
      throw new Error(`no such verb: ${words.join(' ')}`)
  }
}

function eventLine(event: H2Event): string {
  switch (event.type) {
    case 'request': {
      const { method, target, protocol, authority, headers, expectContinue } = event
      const more = [...headers].map(([name, value]) => `${name}=${value}`)
      const words = [method, target, authority ?? '-', protocol, expectContinue ? 'expects' : undefined, ...more]
      return `request ${event.exchange} ${words.filter((word) => word !== undefined).join(' ')}`
    }
    case 'informational':
    case 'response': {
      const more = [...event.headers].map(([name, value]) => ` ${name}=${value}`)
      return `${event.type} ${event.exchange} ${event.status}${more.join('')}`
    }
    case 'data':
      return `data ${event.exchange} ${event.data.length}`
    case 'end':
      return `end ${event.exchange}${[...(event.trailers ?? [])].map(([name, value]) => ` ${name}=${value}`).join('')}`
    case 'failed':
      return `failed ${event.exchange} ${event.fault.code} ${event.disposition}`
    case 'error':
      return `error ${event.fault.code} ${errorName(event.fault.h2Code ?? 0)}`
    case 'goaway':
      return `goaway ${event.lastStream} ${errorName(event.h2Code)} ${event.debug.length}`
    case 'draining':
      return `draining ${event.reason} [${event.unprocessed.join()}]`
    case 'closed':
      return `closed ${event.reason}`
    case 'slots':
      return `slots ${event.capacity > 1e6 ? 'many' : event.capacity}`
    case 'writable':
      return `writable ${event.exchange} ${event.room}`
    case 'settings':
      return `settings ${JSON.stringify(event.settings)}`
    case 'frame':
      return `frame ${event.frameType} ${event.stream} ${event.payload.length}`
    case 'ping':
      return `ping${event.ack ? ' ACK' : ''}`
    default:
      return event.type
  }
}
