// The fixtures of llhttp, the parser of Node: what it makes of them is what we make of them, or the table of differences
// says why not. Both directions are checked: a difference that has gone leaves the table.
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { H11Connection, type Leniency } from '../../src/h11/index.ts'
import type { H11Event, Role } from '../../src/http/index.ts'
import { DIFFERENCES } from './llhttp-differences.ts'

interface Message {
  readonly method?: string
  readonly url?: string
  readonly status?: number
  readonly version?: string
  readonly headers: readonly (readonly [string, string])[]
  readonly body: string
  readonly headersComplete: boolean
  readonly complete: boolean
}
interface Fixture {
  readonly id: string
  readonly mode: 'request' | 'response'
  readonly type: string
  readonly lenient: string | null
  readonly inputBase64: string
  readonly expected: {
    readonly outcome: 'complete' | 'incomplete' | 'error' | 'upgrade'
    readonly messages: readonly Message[]
  }
}
interface Seen {
  method?: string
  url?: string
  status?: number
  version: string
  headers: [string, string][]
  body: string
  complete: boolean
}

const FILE = '../shared/vectors/llhttp-fixtures.json'
const fixtures = existsSync(FILE) ? (JSON.parse(readFileSync(FILE, 'utf8')) as Fixture[]) : undefined

/** Its leniencies that are ours too. Most fixtures have no Host, which is not what they are about. */
const FLAGS: Readonly<Record<string, readonly Leniency[]>> = {
  'lenient-headers': ['obsFold', 'spaceBeforeColon'],
  'lenient-keep-alive': ['http10KeepAlive'],
  'lenient-optional-cr-before-lf': ['bareLf'],
  'lenient-all': ['bareLf', 'obsFold', 'spaceBeforeColon', 'http10KeepAlive'],
}

function play({ mode, lenient, inputBase64, expected }: Fixture): { outcome: string; messages: Seen[] } {
  const role: Role = mode === 'request' ? 'server' : 'client'
  const flags: readonly Leniency[] = ['missingHost', ...(FLAGS[lenient ?? ''] ?? [])]
  const machine = new H11Connection(role, { now: 0, lenient: Object.fromEntries(flags.map((flag) => [flag, true])) })
  const messages: Seen[] = []
  let outcome: 'error' | 'upgrade' | undefined
  const ask = (): void => {
    if (machine.capacity === 0) return
    const headers = [['Connection', 'upgrade'] as const, ['Upgrade', 'ws, h2c'] as const]
    machine.sendRequest({ method: 'GET', authority: 'a', target: '/', headers }, { end: true })
  }
  const answer = (exchange: number, { method, headers }: Seen): void => {
    const upgrade = headers.find(([name]) => name.toLowerCase() === 'upgrade')
    const yes = expected.outcome === 'upgrade'
    if (yes && upgrade !== undefined && method !== 'CONNECT') {
      machine.sendResponse(exchange, { status: 101, headers: [upgrade] })
    } else {
      machine.sendResponse(exchange, { status: yes ? 200 : 204, headers: [] }, { end: true })
      machine.takeOutput()
      if (!yes) machine.nextExchange()
    }
  }
  const take = (event: H11Event): void => {
    switch (event.type) {
      case 'request':
      case 'response':
      case 'informational': {
        const { headers } = event
        messages.push({
          ...(event.type === 'request' ? { method: event.method, url: event.target } : { status: event.status }),
          version: event.type === 'informational' ? '1.1' : event.httpVersion.slice(5),
          headers: Array.from({ length: headers.length }, (_, i) => [headers.rawName(i), headers.value(i)]),
          body: '',
          complete: event.type === 'informational',
        })
        return
      }
      case 'data':
        machine.consume(event.exchange, event.data.length)
        last(messages).body += Buffer.from(event.data).toString('latin1')
        return
      case 'end':
        last(messages).complete = true
        if (role === 'client') ask()
        else answer(event.exchange, last(messages))
        return
      case 'switched':
        last(messages).complete = true
        outcome ??= 'upgrade'
        return
      case 'failed':
      case 'error':
        outcome ??= 'error'
        return
      default:
        return
    }
  }
  if (role === 'client') ask()
  machine.receiveData(new Uint8Array(Buffer.from(inputBase64, 'base64')), 0)
  for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) take(event)
  const complete = messages.length > 0 && messages.every((message) => message.complete)
  return { outcome: outcome ?? (complete ? 'complete' : 'incomplete'), messages }
}
function last(messages: readonly Seen[]): Seen {
  return messages.at(-1) as Seen
}

/** Outcome and messages are the same; of a head that never came to its end we tell nothing. */
function agrees(fixture: Fixture): boolean {
  const { outcome, messages } = play(fixture)
  const complete = ({ complete }: Message | Seen): boolean => complete
  const heads = fixture.expected.messages.filter(({ headersComplete }) => headersComplete)
  const cut = fixture.expected.outcome === 'incomplete' && heads.length > 0 && heads.every(complete)
  const wanted = cut ? 'complete' : fixture.expected.outcome
  const told = outcome === 'error' ? heads.filter(complete) : heads
  const ours = outcome === 'error' ? messages.filter(complete) : messages
  return outcome === wanted && ours.length === told.length && told.every((message, i) => same(message, ours[i] as Seen))
}
function same(theirs: Message, ours: Seen): boolean {
  const plain = (message: Message | Seen): unknown => [
    message.method,
    message.url,
    message.status,
    message.version,
    message.headers,
    message.body,
    message.complete,
  ]
  return JSON.stringify(plain(theirs)) === JSON.stringify(plain(ours))
}

describe('llhttp', () => {
  if (fixtures === undefined) test.skip(`${FILE} is not there`, () => {})
  const known = DIFFERENCES.flatMap(({ ids }) => ids)
  test('the table of differences names fixtures, each once', () => {
    const ids = (fixtures ?? []).map(({ id }) => id)
    expect(known.filter((id) => fixtures !== undefined && !ids.includes(id))).toEqual([])
    expect(new Set(known).size).toBe(known.length)
  })
  test.each((fixtures ?? []).map((fixture) => [fixture.id, fixture] as const))('%s', (id, fixture) => {
    expect(agrees(fixture)).toBe(!known.includes(id))
  })
})
