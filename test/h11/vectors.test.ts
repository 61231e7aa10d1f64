// The shared wire cases of HTTP/1.1, judged whole, byte by byte, and cut in three. What must be accepted is accepted with
// just these messages, what must be rejected is rejected and nothing comes after it; where the RFC leaves a choice, one of
// the outcomes that it allows.
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { H11Connection } from '../../src/h11/index.ts'
import type { H11Event, PeerFault, RequestHead } from '../../src/http/index.ts'

interface Message {
  readonly method?: string
  readonly target?: string
  readonly status?: number
  readonly body?: string
  readonly version?: string
}
interface Case {
  readonly id: string
  readonly mode: 'request' | 'response'
  readonly bytes: string
  readonly what: string
  readonly verdict: 'must-reject' | 'must-accept' | 'ambiguous'
  readonly requestMethod?: string
  readonly eof?: boolean
  readonly messagesBefore?: number
  readonly expect?: readonly Message[]
  readonly acceptable?: readonly (readonly Message[])[]
  readonly then?: 'close' | 'tunnel'
}
interface Seen {
  readonly messages: {
    method?: string
    target?: string
    status?: number
    body: string
    complete: boolean
    version: string
  }[]
  fault: PeerFault | undefined
  readonly machine: H11Connection
}

const VECTORS = '../shared/vectors/'
const missing = existsSync(`${VECTORS}h1-cases.json`) ? undefined : `${VECTORS} is not there`
function load(file: string): readonly Case[] {
  return missing === undefined ? (JSON.parse(readFileSync(VECTORS + file, 'utf8')) as Case[]) : []
}
const bytesOf = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'))

/** Feeds the bytes in pieces and answers every request, as a server and a client would. */
function run(mode: 'request' | 'response', pieces: readonly Uint8Array[], eof: boolean, method = 'GET'): Seen {
  const machine = new H11Connection(mode === 'request' ? 'server' : 'client', { now: 0 })
  const seen: Seen = { messages: [], fault: undefined, machine }
  const ask = (): void => {
    if (machine.capacity === 0) return
    const upgrade: RequestHead['headers'] = [
      ['Connection', 'upgrade'],
      ['Upgrade', 'websocket'],
    ]
    machine.sendRequest(
      {
        method,
        authority: 'a',
        target: method === 'CONNECT' ? 'a:1' : '/',
        headers: method === 'CONNECT' ? [] : upgrade,
      },
      { end: true },
    )
    machine.takeOutput()
  }
  if (mode === 'response') ask()
  const drain = (): void => {
    for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) take(seen, event)
  }
  for (const piece of pieces) {
    machine.receiveData(piece, 0)
    drain()
  }
  if (eof) {
    machine.receiveEof(0)
    drain()
  }
  return seen
}

function take(seen: Seen, event: H11Event): void {
  const last = seen.messages.at(-1)
  switch (event.type) {
    case 'request':
      seen.messages.push({
        method: event.method,
        target: event.target,
        body: '',
        complete: false,
        version: event.httpVersion,
      })
      return
    case 'informational':
      seen.messages.push({ status: event.status, body: '', complete: true, version: '' })
      return
    case 'response':
      seen.messages.push({ status: event.status, body: '', complete: event.status === 101, version: event.httpVersion })
      return
    case 'data':
      seen.machine.consume(event.exchange, event.data.length)
      if (last !== undefined) last.body += Buffer.from(event.data).toString('latin1')
      return
    case 'end':
      if (last !== undefined) last.complete = true
      if (seen.machine.role === 'server') answer(seen.machine, event.exchange)
      return
    case 'switched':
      if (last !== undefined) last.complete = true
      return
    case 'failed':
    case 'error':
      seen.fault ??= event.fault
      return
    default:
      return
  }
}
function answer(machine: H11Connection, exchange: number): void {
  machine.sendResponse(exchange, { status: 204, headers: [] }, { end: true })
  machine.takeOutput()
  machine.nextExchange()
}

function cuts(bytes: Uint8Array): readonly (readonly [string, readonly Uint8Array[]])[] {
  const third = Math.ceil(bytes.length / 3)
  return [
    ['whole', [bytes]],
    ['byte by byte', Array.from(bytes, (_, i) => bytes.subarray(i, i + 1))],
    ['in three', [bytes.subarray(0, third), bytes.subarray(third, 2 * third), bytes.subarray(2 * third)]],
  ]
}

function same(seen: Seen['messages'], wanted: readonly Message[]): boolean {
  return (
    seen.length === wanted.length &&
    wanted.every((message, i) => {
      const got = seen[i] as Seen['messages'][number]
      const version = message.version === undefined || got.version === '' || got.version === `HTTP/${message.version}`
      return (
        got.complete &&
        version &&
        (message.body === undefined || got.body === message.body) &&
        (message.method === undefined || got.method === message.method) &&
        (message.target === undefined || got.target === message.target) &&
        (message.status === undefined || got.status === message.status)
      )
    })
  )
}

describe('h1-cases', () => {
  if (missing !== undefined) test.skip(missing, () => {})
  test.each(load('h1-cases.json').map((one) => [`${one.id}: ${one.what}`, one] as const))('%s', (_, one) => {
    for (const [how, pieces] of cuts(bytesOf(one.bytes))) {
      const seen = run(one.mode, pieces, one.eof === true, one.requestMethod)
      const outcome = `${how}: ${JSON.stringify(seen.messages)} ${JSON.stringify(seen.fault)}`
      if (one.verdict === 'must-accept') expect(same(seen.messages, one.expect ?? []), outcome).toBe(true)
      else {
        const rejected =
          seen.fault !== undefined &&
          seen.messages.filter(({ complete, version }) => complete && version !== '').length <=
            (one.messagesBefore ?? 0)
        const acceptable = one.verdict === 'ambiguous' ? (one.acceptable ?? []) : []
        expect(rejected || acceptable.some((wanted) => same(seen.messages, wanted)), outcome).toBe(true)
      }
      if (seen.fault === undefined && one.then === 'close')
        expect(seen.machine.draining || seen.machine.closed, outcome).toBe(true)
    }
  })
})
