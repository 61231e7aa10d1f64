// The shared wire cases, judged. Exact is best; what is not is in NOT_EXACT, with its reason, and nothing else may be.
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { H2Event } from '../../src/http/index.ts'
import { errorName, FRAME, H2_ERROR, H2Connection } from '../../src/h2/index.ts'
import {
  concat,
  drain,
  first32,
  GET_HEAD,
  hex,
  parseFrames,
  PREFACE,
  settings,
  SETTINGS_ACK,
  toHex,
  type Frame,
} from './support.ts'

interface Step {
  readonly peer?: string
  readonly zeros?: number
  readonly repeat?: number
  readonly local?: 'request' | 'respond' | 'reset' | 'goaway' | 'settings' | 'eof'
  readonly method?: string
  readonly path?: string
  readonly end?: boolean
  readonly body?: number
  readonly stream?: number
  readonly status?: number
  readonly code?: keyof typeof H2_ERROR
  readonly headerTableSize?: number
  readonly mustFail?: boolean
}
interface Expected {
  readonly type: 'connection-error' | 'stream-error' | 'ignored' | 'accepted' | 'incomplete'
  readonly codes?: readonly string[]
  readonly stream?: number
  readonly emits?: readonly string[]
  readonly emitsCount?: number
  readonly emitsNothing?: boolean
  readonly events?: readonly string[]
  readonly totalData?: number
  readonly maxDataFrame?: number
  readonly noNewStreams?: boolean
  readonly noHeadersSent?: boolean
  readonly retryable?: boolean
}
interface Case {
  readonly id: string
  readonly role: 'client' | 'server'
  readonly what: string
  readonly preamble: 'raw' | 'ready'
  readonly steps: readonly Step[]
  readonly expected: Expected
  readonly alsoAllowed?: readonly string[]
  readonly needs?: string
}

/** What is judged otherwise than expected: our outcome, which the case allows too, and why. */
const NOT_EXACT: Readonly<Record<string, readonly [outcome: string, why: string]>> = {
  'srv-priority-len-4': [
    'connection-error:FRAME_SIZE_ERROR',
    'the stream is idle: RST_STREAM must not be sent there (RFC 9113 §6.4), so the stream error becomes one of the connection',
  ],
  'srv-padding-counts': [
    'connection-error:ENHANCE_YOUR_CALM',
    'padding is credited at once, so the window holds; 256 DATA frames without content are a flood (RFC 9113 §10.5)',
  ],
  'cli-padding-counts': [
    'connection-error:ENHANCE_YOUR_CALM',
    'padding is credited at once, so the window holds; 256 DATA frames without content are a flood (RFC 9113 §10.5)',
  ],
  'srv-hpack-table-reduced': [
    'connection-error:COMPRESSION_ERROR',
    'RFC 9113 §4.3.1 asks for the size update after every acknowledged reduction, whatever the table holds',
  ],
  'cli-priority-update': [
    'connection-error:PROTOCOL_ERROR',
    'RFC 9218 §7.1: a client that knows the frame MUST treat it so',
  ],
}

const SKIPPED = 'client with push enabled'

interface Run {
  readonly frames: readonly Frame[]
  readonly events: readonly H2Event[]
  readonly machine: H2Connection
  readonly localResets: ReadonlySet<number>
}

function run(one: Case): Run {
  // Credit is withheld above maxUnreadBytes: so a case can overrun the window of the connection.
  const narrow = one.needs?.startsWith('default windows') === true
  const limits = narrow ? { streamWindow: 65_535, connectionWindow: 65_535, maxUnreadBytes: 1 } : {}
  const machine = new H2Connection(one.role, { now: 0, limits })
  const events: H2Event[] = []
  const outputs: Uint8Array[] = []
  const localResets = new Set<number>()
  const receive = (bytes: Uint8Array): void => {
    machine.receiveData(bytes, 0)
    events.push(...drain(machine))
    outputs.push(...machine.takeOutput())
  }
  if (one.preamble === 'ready')
    receive(concat([one.role === 'server' ? PREFACE : new Uint8Array(0), settings(), SETTINGS_ACK]))
  machine.takeOutput()
  events.length = outputs.length = 0
  for (const step of one.steps) {
    if (step.peer !== undefined) {
      const bytes = concat([hex(step.peer), new Uint8Array(step.zeros ?? 0)])
      for (let i = 0; i < (step.repeat ?? 1); i++) receive(bytes)
    } else local(machine, step, localResets)
    events.push(...drain(machine))
    outputs.push(...machine.takeOutput())
  }
  return { frames: parseFrames(concat(outputs)), events, machine, localResets }
}

function local(machine: H2Connection, step: Step, localResets: Set<number>): void {
  switch (step.local) {
    case 'request': {
      const head = { ...GET_HEAD, method: step.method ?? 'GET', target: step.path ?? '/' }
      if (step.mustFail === true) return void expect(() => machine.sendRequest(head, { end: true })).toThrow()
      const id = machine.sendRequest(head, { end: step.end === true && step.body === undefined })
      if (step.body !== undefined) machine.sendData(id, new Uint8Array(step.body), step.end)
      return
    }
    case 'respond':
      machine.sendResponse(
        step.stream ?? 1,
        { status: step.status ?? 200, headers: [] },
        { end: step.body === undefined },
      )
      if (step.body !== undefined) machine.sendData(step.stream ?? 1, new Uint8Array(step.body), step.end)
      return
    case 'reset':
      localResets.add(step.stream ?? 1)
      return machine.cancel(step.stream ?? 1, H2_ERROR[step.code ?? 'CANCEL'])
    case 'goaway':
      // Asked twice, it says at once which stream is the last.
      machine.close(0)
      return machine.close(0)
    case 'settings':
      return machine.updateSettings({ headerTableSize: step.headerTableSize ?? 0 }, 0)
    case 'eof':
      return machine.receiveEof(0)
    default:
      throw new Error(`no such step: ${JSON.stringify(step)}`)
  }
}

/** 'connection-error:CODE', 'stream-error:CODE' (with the stream), 'incomplete', or 'accepted'. */
function outcomeOf({ frames, events, localResets }: Run): { readonly name: string; readonly stream?: number } {
  const away = frames.find(({ type, payload }) => type === FRAME.GOAWAY && first32(payload, 4) !== 0)
  if (away !== undefined) return { name: `connection-error:${errorName(first32(away.payload, 4))}` }
  const reset = frames.find(({ type, stream }) => type === FRAME.RST_STREAM && !localResets.has(stream))
  if (reset !== undefined) return { name: `stream-error:${errorName(first32(reset.payload))}`, stream: reset.stream }
  if (events.some((event) => event.type === 'error')) return { name: 'incomplete' }
  return { name: 'accepted' }
}

/** In the words of the cases, adjacent data joined. */
function eventLines(events: readonly H2Event[]): string[] {
  const lines: string[] = []
  for (const event of events) {
    if (event.type === 'request') lines.push(`request ${event.exchange}`)
    else if (event.type === 'response') lines.push(`response ${event.exchange} ${event.status}`)
    else if (event.type === 'data') {
      const last = /^data (\d+) (\d+)$/.exec(lines.at(-1) ?? '')
      if (last?.[1] === `${event.exchange}`)
        lines[lines.length - 1] = `data ${event.exchange} ${Number(last[2]) + event.data.length}`
      else lines.push(`data ${event.exchange} ${event.data.length}`)
    } else if (event.type === 'end') {
      if (event.trailers !== undefined) lines.push(`trailers ${event.exchange}`)
      if (lines.at(-1) === `request ${event.exchange}`) lines[lines.length - 1] += ' end'
      else lines.push(`end ${event.exchange}`)
    } else if (event.type === 'failed') lines.push(`reset ${event.exchange} ${errorName(event.fault.h2Code ?? -1)}`)
    else if (event.type === 'goaway') lines.push(`goaway ${event.lastStream} ${errorName(event.h2Code)}`)
  }
  return lines
}

function checkDetails(expected: Expected, result: Run): void {
  const { frames, events, machine } = result
  const wire = frames.map(({ type, flags, stream, payload }) => toHex(rebuild(type, flags, stream, payload)))
  for (const emitted of expected.emits ?? []) {
    expect(wire).toContain(emitted)
    if (expected.emitsCount !== undefined)
      expect(wire.filter((one) => one === emitted)).toHaveLength(expected.emitsCount)
  }
  if (expected.emitsNothing === true) expect(wire).toEqual([])
  if (expected.events !== undefined) expect(eventLines(events)).toEqual(expect.arrayContaining([...expected.events]))
  const content = frames.filter(({ type }) => type === FRAME.DATA).map(({ payload }) => payload.length)
  if (expected.totalData !== undefined) expect(content.reduce((a, b) => a + b, 0)).toBe(expected.totalData)
  if (expected.maxDataFrame !== undefined) expect(Math.max(...content)).toBeLessThanOrEqual(expected.maxDataFrame)
  if (expected.noHeadersSent === true) expect(frames.filter(({ type }) => type === FRAME.HEADERS)).toEqual([])
  if (expected.noNewStreams === true) {
    expect(machine.capacity).toBe(0)
    expect(() => machine.sendRequest(GET_HEAD)).toThrow()
  }
  if (expected.retryable === true) {
    expect(events).toContainEqual(expect.objectContaining({ type: 'failed', disposition: 'refused' }))
  }
}

function rebuild(type: number, flags: number, stream: number, payload: Uint8Array): Uint8Array {
  const { length } = payload
  const header = [length >>> 16, length >>> 8, length, type, flags, stream >>> 24, stream >>> 16, stream >>> 8, stream]
  return concat([new Uint8Array(header), payload])
}

function judge(one: Case): void {
  const result = run(one)
  const { name, stream } = outcomeOf(result)
  const noted = NOT_EXACT[one.id]
  if (noted !== undefined) {
    expect(name).toBe(noted[0])
    expect(one.alsoAllowed).toContain(noted[0])
    return
  }
  const { expected } = one
  if (expected.type === 'accepted' || expected.type === 'ignored') expect(name).toBe('accepted')
  else if (expected.type === 'incomplete') expect(name).toBe('incomplete')
  else {
    expect((expected.codes ?? []).map((code) => `${expected.type}:${code}`)).toContain(name)
    if (expected.type === 'stream-error') expect(stream).toBe(expected.stream)
  }
  checkDetails(expected, result)
}

const folder = new URL('../../../shared/vectors/', import.meta.url)
const missing = !existsSync(folder)
const reason = missing ? ' (skipped: ../shared/vectors is missing)' : ''

describe(`h2-cases${reason}`, () => {
  const cases = missing ? [] : (JSON.parse(readFileSync(new URL('h2-cases.json', folder), 'utf8')) as readonly Case[])
  test.skipIf(missing)('there are cases, and every exception is one of them', () => {
    expect(cases.length).toBeGreaterThan(150)
    for (const id of Object.keys(NOT_EXACT)) expect(cases.map((one) => one.id)).toContain(id)
  })
  for (const one of cases) {
    const pushed = one.needs?.startsWith(SKIPPED) === true
    const why = pushed ? ' (every PUSH_PROMISE is refused: push is never enabled)' : ''
    test(`${one.id}: ${one.what}${why}`, () => {
      if (pushed) expect(outcomeOf(run(one)).name).toBe('connection-error:PROTOCOL_ERROR')
      else judge(one)
    })
  }
})

interface FrameCase {
  readonly error: readonly number[] | null
  readonly wire: string
  readonly description: string
  readonly file: string
}

/** Valid frames of the suite that break a rule above the frame layer, with the error that this must be. */
const ABOVE_THE_FRAME: Readonly<Record<string, string>> = {
  'continuation/header.json': 'connection-error:PROTOCOL_ERROR',
  'continuation/normal.json': 'connection-error:PROTOCOL_ERROR',
  'data/normal.json': 'connection-error:PROTOCOL_ERROR',
  'headers/normal.json': 'connection-error:COMPRESSION_ERROR',
  'headers/priority.json': 'connection-error:COMPRESSION_ERROR',
  'push_promise/normal.json': 'connection-error:PROTOCOL_ERROR',
  'rst_stream/normal.json': 'connection-error:PROTOCOL_ERROR',
  'window_update/normal.json': 'connection-error:PROTOCOL_ERROR',
}

describe(`h2-frame-vectors${reason}`, () => {
  const path = new URL('h2-frame-vectors.json', folder)
  const cases = missing ? [] : (JSON.parse(readFileSync(path, 'utf8')) as { cases: readonly FrameCase[] }).cases
  test.skipIf(missing)('there are cases', () => {
    expect(cases).toHaveLength(34)
  })
  for (const role of ['client', 'server'] as const) {
    for (const [i, one] of cases.entries()) {
      test(`${role}, ${i}: ${one.description}`, () => {
        const steps = [{ peer: one.wire }]
        const result = run({ id: '', role, what: '', preamble: 'ready', steps, expected: { type: 'accepted' } })
        const { name } = outcomeOf(result)
        if (one.error === null) expect(name).toBe(ABOVE_THE_FRAME[one.file] ?? 'accepted')
        else expect(one.error.map((code) => `connection-error:${errorName(code)}`)).toContain(name)
      })
    }
  }
})
